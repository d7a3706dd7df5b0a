using LlamaFullstack.Core.Formats;
using LlamaFullstack.Export.Targets;

namespace LlamaFullstack.Export;

/// <summary>From a model of any kind to a model file that llama2.c and the engine read, to a folder for Hugging Face's transformers, or to a checkpoint for PyTorch.</summary>
public static class ModelExport
{
    /// <summary>The version that means a folder of Hugging Face's, as in llama2.c's export.py.</summary>
    public const int HuggingFaceVersion = -1;

    /// <summary>The number here of llama2.c's checkpoint, ckpt.pt, which has no version.</summary>
    public const int CheckpointPtVersion = -2;

    // In this order: the one that this project's training writes, then llama2.c's.
    private static readonly string[] CheckpointNames = ["ckpt.safetensors", "ckpt.pt"];

    /// <summary>The checkpoint in a training's folder.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    public static string FindCheckpoint(string folder) =>
        CheckpointNames.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists)
        ?? throw new FileNotFoundException($"{folder}: has no {string.Join(" and no ", CheckpointNames)}. Train a model first, or name a checkpoint with --checkpoint.");

    /// <summary>The name beside a checkpoint of what is written from it.</summary>
    public static string DefaultTargetName(int version) => version == HuggingFaceVersion ? "hf" : "model.bin";

    /// <summary>What the name of a target asks for, where no version is given: a name that ends in .pt is a checkpoint, any other a file of version 0.</summary>
    public static int VersionOf(string target) => Path.GetExtension(target) == ".pt" ? CheckpointPtVersion : 0;

    /// <summary>Writes a model, one tensor at a time; each file atomically.</summary>
    /// <param name="source">The weights.</param>
    /// <param name="target">The file to create or replace; a folder for <see cref="HuggingFaceVersion"/>.</param>
    /// <param name="version">0, 1, 2, <see cref="HuggingFaceVersion"/> or <see cref="CheckpointPtVersion"/>.</param>
    /// <param name="groupSize">Version 2's group size; null for the largest of 64, 32, 16, … that divides dim and hidden_dim.</param>
    /// <param name="type">Float32, or Float16 in a folder of Hugging Face's and a checkpoint.</param>
    /// <param name="progress">Told of each tensor once it is written.</param>
    /// <param name="cancellation">Stops between two tensors; an old file stays.</param>
    /// <exception cref="ArgumentException">The target is the source, or the version or the group size cannot be written for this model.</exception>
    /// <exception cref="InvalidDataException">The source is damaged, or a weight is not a finite number where int8 is written.</exception>
    /// <exception cref="IOException">The target cannot be written.</exception>
    public static ExportReport Write(ModelSource source, string target, int version, int? groupSize = null, NumberType type = NumberType.Float32,
        IProgress<TensorWritten>? progress = null, CancellationToken cancellation = default)
    {
        if (FinalPath(source.Path) == FinalPath(target))
            throw new ArgumentException($"{target}: is the source itself. Name another target.", nameof(target));
        if (version is HuggingFaceVersion or CheckpointPtVersion)
        {
            var length = version == HuggingFaceVersion
                ? HuggingFaceWriter.Write(target, source.Tensors, type, progress: progress, cancellation: cancellation)
                : CheckpointPtWriter.Write(target, source.Tensors, type, progress, cancellation);
            return new ExportReport(source.Path, source.Format, target, version, GroupSize: 0, length, []);
        }
        if (type != NumberType.Float32)
            throw new ArgumentException($"version {version} holds no {type}; versions {HuggingFaceVersion} and ckpt.pt do.", nameof(type));

        var tensors = new List<TensorWritten>();
        ModelBinWriter.Write(target, source.Tensors, version, groupSize, new Recorder(tensors, progress), cancellation);
        using var written = ModelBinFile.Open(target);
        return new ExportReport(source.Path, source.Format, target, version, written.Header.GroupSize, written.Map.Length,
            [.. tensors.Where(tensor => written.Layout[tensor.Tensor.Name].IsQuantized).Select(TensorError.Of)]);
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
