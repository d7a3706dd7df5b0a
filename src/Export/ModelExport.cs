using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export;

/// <summary>From a checkpoint to a model file that llama2.c and the engine read.</summary>
public static class ModelExport
{
    /// <summary>The name of the model file beside its checkpoint.</summary>
    public const string DefaultTargetName = "model.bin";

    // In this order: the one that this project's training writes, then llama2.c's.
    private static readonly string[] CheckpointNames = ["ckpt.safetensors", "ckpt.pt"];

    /// <summary>The checkpoint in a training's folder.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    public static string FindCheckpoint(string folder) =>
        CheckpointNames.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists)
        ?? throw new FileNotFoundException($"{folder}: has no {string.Join(" and no ", CheckpointNames)}. Train a model first, or name a checkpoint with --checkpoint.");

    /// <summary>Writes a model file, one tensor at a time, atomically.</summary>
    /// <param name="source">The weights.</param>
    /// <param name="target">The file to create or replace.</param>
    /// <param name="version">0, 1 or 2.</param>
    /// <param name="groupSize">Version 2's group size; null for the largest of 64, 32, 16, … that divides dim and hidden_dim.</param>
    /// <param name="progress">Told of each tensor once it is written.</param>
    /// <param name="cancellation">Stops between two tensors; an old file stays.</param>
    /// <exception cref="ArgumentException">The target is the source, or the version or the group size cannot be written for this model.</exception>
    /// <exception cref="InvalidDataException">The source is damaged, or a weight is not a finite number where int8 is written.</exception>
    /// <exception cref="IOException">The target cannot be written.</exception>
    public static ExportReport Write(ModelSource source, string target, int version, int? groupSize = null,
        IProgress<TensorWritten>? progress = null, CancellationToken cancellation = default)
    {
        if (FinalPath(source.Path) == FinalPath(target))
            throw new ArgumentException($"{target}: is the source itself. Name another target.", nameof(target));
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
