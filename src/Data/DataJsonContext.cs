using System.Text.Json.Serialization;
using LlamaFullstack.Data.Datasets;
using LlamaFullstack.Data.Downloading;
using LlamaFullstack.Data.Tokens;

namespace LlamaFullstack.Data;

/// <summary>JSON of this room's files, generated at build time so that nothing needs reflection.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true,
    NewLine = "\n", // the same bytes on every system
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    RespectRequiredConstructorParameters = true,
    RespectNullableAnnotations = true)]
[JsonSerializable(typeof(TokenManifest))]
[JsonSerializable(typeof(DatasetSource))]
[JsonSerializable(typeof(RemoteFile))]
internal sealed partial class DataJsonContext : JsonSerializerContext;
