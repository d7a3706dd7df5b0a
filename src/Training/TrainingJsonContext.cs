using System.Text.Json.Serialization;

namespace LlamaFullstack.Training;

/// <summary>JSON of the training configuration, under the options' own names.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true,
    NewLine = "\n", // the same bytes on every system
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(TrainingConfig))]
internal sealed partial class TrainingJsonContext : JsonSerializerContext;
