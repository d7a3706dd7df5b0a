using System.Text.Json.Serialization;

namespace LlamaFullstack.Core;

/// <summary>JSON of the shared types, generated at build time so that nothing needs reflection.</summary>
[JsonSourceGenerationOptions(WriteIndented = false)]
[JsonSerializable(typeof(LlamaConfig))]
[JsonSerializable(typeof(RopeScaling))]
public sealed partial class CoreJsonContext : JsonSerializerContext;
