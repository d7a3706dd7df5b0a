using System.Text.Json.Serialization;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export;

/// <summary>What an export wrote, and what quantising cost.</summary>
/// <param name="Source">The file that the weights came from.</param>
/// <param name="Format">Its format.</param>
/// <param name="Target">The file or the folder that was written.</param>
/// <param name="Version">Its version; <see cref="ModelExport.HuggingFaceVersion"/> for a folder of Hugging Face's, <see cref="ModelExport.GgufVersion"/> for a GGUF file, <see cref="ModelExport.CheckpointPtVersion"/> for a ckpt.pt.</param>
/// <param name="GroupSize">Weights that share one scale; 0 in float32 files.</param>
/// <param name="Bytes">The file's length, or that of all tensors in the folder.</param>
/// <param name="Quantized">Each quantised tensor in the order of the file; empty in float32 files.</param>
public sealed record ExportReport(string Source, string Format, string Target, int Version, int GroupSize, long Bytes, IReadOnlyList<TensorError> Quantized)
{
    /// <summary>The tokenizer that was written beside the model; null where none was.</summary>
    public string? Tokenizer { get; init; }

    /// <summary>What the numbers' type costs on real text; null where it was not measured.</summary>
    public LossReport? Loss { get; init; }

    /// <summary>The tensor whose largest error is the largest; null in float32 files.</summary>
    public TensorError? Worst => Quantized.MaxBy(tensor => tensor.MaxError);
}

/// <summary>The mean of −log p(next token) in nats, of what was written and of the same weights in float32.</summary>
/// <param name="Float32">Of the weights in float32.</param>
/// <param name="Written">Of the file that was written.</param>
/// <param name="Tokens">Predictions.</param>
/// <param name="Text">What was foretold.</param>
public sealed record LossReport(double Float32, double Written, long Tokens, string Text);

/// <summary>What quantising cost one tensor.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Rows">Output features.</param>
/// <param name="Cols">Input features.</param>
/// <param name="MaxError">Largest |w - what its integer stands for|.</param>
/// <param name="MeanError">Mean |w - what its integer stands for|.</param>
/// <param name="Type">What its values became.</param>
public sealed record TensorError(string Name, int Rows, int Cols, float MaxError, double MeanError, string Type)
{
    internal static TensorError Of(TensorWritten written, WeightType type) =>
        new(written.Tensor.Name, written.Tensor.Rows, written.Tensor.Cols, written.MaxError, written.MeanError, type == WeightType.Int4 ? "int4" : "int8");
}

/// <summary>JSON of the reports, generated at build time so that nothing needs reflection. What is no number is "NaN" or "Infinity", which JSON has no number for.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, NewLine = "\n", PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(ExportReport))]
[JsonSerializable(typeof(Inspection))]
[JsonSerializable(typeof(Verification))]
public sealed partial class ExportJsonContext : JsonSerializerContext;
