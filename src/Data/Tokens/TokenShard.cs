// A shard as tokens: story after story, each with BOS in front, 2 bytes a token, little-endian, no header.
// The file is mapped into memory: opening it costs nothing, and its pages are read when they are first touched.

using System.Runtime.InteropServices;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Data.Tokens;

/// <summary>Read access to the tokens of one shard, from any number of threads.</summary>
public sealed class TokenShard : IDisposable
{
    private readonly MappedFile _file;

    private TokenShard(MappedFile file) => _file = file;

    /// <summary>Opens a shard.</summary>
    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is empty, or its size is not a whole number of tokens.</exception>
    public static TokenShard Open(string path)
    {
        var file = MappedFile.Open(path);
        if (file.Length % sizeof(ushort) == 0)
            return new TokenShard(file);
        file.Dispose();
        throw new InvalidDataException(
            $"{path}: {file.Length:N0} bytes is not a whole number of 2-byte tokens. Was it cut short? Delete it and pretokenise again.");
    }

    /// <summary>The shard's file.</summary>
    public string Path => _file.Path;

    /// <summary>Number of tokens.</summary>
    public long Length => _file.Length / sizeof(ushort);

    /// <summary>Copies the tokens [start, start + destination.Length).</summary>
    /// <exception cref="ArgumentOutOfRangeException">They do not all lie in the shard.</exception>
    public void Read(long start, Span<long> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Length - destination.Length);
        var source = MemoryMarshal.Cast<byte, ushort>(_file.Span(start * sizeof(ushort), destination.Length * sizeof(ushort)));
        for (var i = 0; i < source.Length; i++)
            destination[i] = source[i];
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
