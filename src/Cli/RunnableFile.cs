using LlamaFullstack.Core.Formats;
using LlamaFullstack.Export;

namespace LlamaFullstack.Cli;

/// <summary>A file of a model that the engine opens: its own, or a temporary one of version 1, deleted afterwards.</summary>
internal sealed class RunnableFile : IDisposable
{
    private readonly string? _temporary;

    public RunnableFile(ModelSource source, CancellationToken cancellation)
    {
        Path = source.Path;
        if (source.Tensors is ModelBinFile or GgufModel)
            return;
        Path = _temporary = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"llamafs-{Guid.NewGuid():N}.bin");
        try
        {
            using var bar = new ProgressBar($"copying {source.Path}");
            ModelBinWriter.Write(Path, source.Tensors, version: 1, progress: new Reporter<TensorWritten>(at => bar.Report(at.Index + 1, at.Count, at.Tensor.Name)), cancellation: cancellation);
        }
        catch (IOException e) when (!e.Message.StartsWith(source.Path, StringComparison.Ordinal)) // what cannot be read of the model says so itself
        {
            throw new IOException($"{source.Path}: the engine needs a copy of it in float32, deleted afterwards, which cannot be written: {e.Message.TrimEnd('.')}. TMPDIR names another folder.", e.HResult);
        }
    }

    public string Path { get; }

    public void Dispose()
    {
        if (_temporary is not null)
            File.Delete(_temporary);
    }
}
