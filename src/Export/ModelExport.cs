using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Export.Targets;

namespace LlamaFullstack.Export;

/// <summary>From a checkpoint to a model file that llama2.c and the engine read, or to a folder that Hugging Face's transformers reads.</summary>
public static class ModelExport
{
    /// <summary>The version that means a folder of Hugging Face's, as in llama2.c's export.py.</summary>
    public const int HuggingFaceVersion = -1;

    /// <summary>The number here of llama2.c's checkpoint, ckpt.pt, which has no version.</summary>
    public const int CheckpointPtVersion = -2;

    /// <summary>The number here of GGUF files, which llama2.c does not know.</summary>
    public const int GgufVersion = -3;

    // In this order: the one that this project's training writes, then llama2.c's.
    private static readonly string[] CheckpointNames = ["ckpt.safetensors", "ckpt.pt"];

    /// <summary>The checkpoint in a training's folder.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    public static string FindCheckpoint(string folder) => CheckpointIn(folder)
        ?? throw new FileNotFoundException($"{folder}: has no {string.Join(" and no ", CheckpointNames)}. Train a model first, or name a checkpoint with --checkpoint.");

    /// <summary>The checkpoint in a training's folder; null where there is none.</summary>
    public static string? CheckpointIn(string folder) => CheckpointNames.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists);

    /// <summary>The checkpoint in the place where one of another name was looked for; null where there is none, or no checkpoint was.</summary>
    internal static string? CheckpointBeside(string path) =>
        CheckpointNames.Contains(Path.GetFileName(path)) ? CheckpointIn(Path.GetDirectoryName(path) ?? "") : null;

    /// <summary>The name beside a checkpoint of what is written from it.</summary>
    public static string DefaultTargetName(int version) => version == HuggingFaceVersion ? "hf" : "model.bin";

    /// <summary>Writes a GGUF file, one tensor at a time, atomically.</summary>
    /// <param name="source">The weights.</param>
    /// <param name="target">The file to create or replace.</param>
    /// <param name="type">What matrices become.</param>
    /// <param name="vocabulary">The model's tokenizer.</param>
    /// <param name="progress">Told of each tensor once it is written.</param>
    /// <param name="cancellation">Stops between two tensors; an old file stays.</param>
    /// <exception cref="ArgumentException">The target is the source, or the tokenizer is another model's.</exception>
    /// <exception cref="InvalidDataException">The source is damaged, or a weight does not fit the type.</exception>
    /// <exception cref="IOException">The target cannot be written.</exception>
    public static ExportReport WriteGguf(ModelSource source, string target, GgufType type, Vocabulary vocabulary,
        IProgress<TensorWritten>? progress = null, CancellationToken cancellation = default)
    {
        if (FinalPath(source.Path) == FinalPath(target))
            throw new ArgumentException($"{target}: is the source itself. Name another target.", nameof(target));
        var errors = GgufWriter.Write(target, source.Tensors, type, vocabulary, progress, cancellation);
        return new ExportReport(source.Path, source.Format, target, GgufVersion, GroupSize: 0, new FileInfo(target).Length, errors);
    }

    /// <summary>Writes a model, one tensor at a time; each file atomically.</summary>
    /// <param name="source">The weights.</param>
    /// <param name="target">The file to create or replace; a folder for <see cref="HuggingFaceVersion"/>.</param>
    /// <param name="version">0, 1, 2, 3, <see cref="HuggingFaceVersion"/> or <see cref="CheckpointPtVersion"/>.</param>
    /// <param name="groupSize">Group size of version 2 or 3; null for the largest of 64 (version 3: 32), 32, 16, … that divides dim and hidden_dim.</param>
    /// <param name="type">Float32, or Float16 in a folder of Hugging Face's and a checkpoint.</param>
    /// <param name="tokenizer">The model's tokenizer, to be written into a folder of Hugging Face's; null to write none.</param>
    /// <param name="progress">Told of each tensor once it is written.</param>
    /// <param name="cancellation">Stops between two tensors; an old file stays.</param>
    /// <exception cref="ArgumentException">The target is the source, or the version or the group size cannot be written for this model.</exception>
    /// <exception cref="InvalidDataException">The source is damaged, or a weight is not a finite number where integers are written.</exception>
    /// <exception cref="IOException">The target cannot be written.</exception>
    public static ExportReport Write(ModelSource source, string target, int version, int? groupSize = null, NumberType type = NumberType.Float32,
        ModelTokenizer? tokenizer = null, IProgress<TensorWritten>? progress = null, CancellationToken cancellation = default)
    {
        if (FinalPath(source.Path) == FinalPath(target))
            throw new ArgumentException($"{target}: is the source itself. Name another target.", nameof(target));
        if (version is HuggingFaceVersion or CheckpointPtVersion)
        {
            var length = version == HuggingFaceVersion
                ? HuggingFaceWriter.Write(target, source.Tensors, type, tokenizer?.ToSentencePiece(), progress: progress, cancellation: cancellation)
                : CheckpointPtWriter.Write(target, source.Tensors, type, progress, cancellation);
            return new ExportReport(source.Path, source.Format, target, version, GroupSize: 0, length, []);
        }
        if (type != NumberType.Float32)
            throw new ArgumentException($"version {version} holds no {type}; a folder of Hugging Face's and a ckpt.pt do.", nameof(type));

        var tensors = new List<TensorWritten>();
        ModelBinWriter.Write(target, source.Tensors, version, groupSize, new Recorder(tensors, progress), cancellation);
        using var written = ModelBinFile.Open(target);
        return new ExportReport(source.Path, source.Format, target, version, written.Header.GroupSize, written.Map.Length,
            [.. tensors.Where(tensor => written.Layout[tensor.Tensor.Name].IsQuantized)
                .Select(tensor => TensorError.Of(tensor, written.Layout[tensor.Tensor.Name].Type))]);
    }

    private static string FinalPath(string path) =>
        (File.Exists(path) ? File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName : null) ?? Path.GetFullPath(path);

    private sealed class Recorder(List<TensorWritten> tensors, IProgress<TensorWritten>? next) : IProgress<TensorWritten>
    {
        public void Report(TensorWritten value)
        {
            tensors.Add(value);
            next?.Report(value);
        }
    }
}
