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
        ModelBinWriter.Write(Path, source.Tensors, version: 1, cancellation: cancellation);
    }

    public string Path { get; }

    public void Dispose()
    {
        if (_temporary is not null)
            File.Delete(_temporary);
    }
}
