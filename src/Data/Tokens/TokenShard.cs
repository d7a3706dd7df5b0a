// A shard as tokens: story after story, each with BOS in front, 2 bytes a token, little-endian, no header.
// The file is mapped into memory: opening it costs nothing, and its pages are read when they are first touched.

using System.IO.MemoryMappedFiles;

namespace LlamaFullstack.Data.Tokens;

/// <summary>Read access to the tokens of one shard, from any number of threads.</summary>
public sealed unsafe class TokenShard : IDisposable
{
    private readonly MemoryMappedFile? _map;
    private readonly MemoryMappedViewAccessor? _view;
    private readonly ushort* _tokens;

    private TokenShard(string path, long bytes)
    {
        Path = path;
        Length = bytes / sizeof(ushort);
        if (bytes == 0)
            return;     // an empty file cannot be mapped
        _map = MemoryMappedFile.CreateFromFile(path, FileMode.Open, mapName: null, bytes, MemoryMappedFileAccess.Read);
        _view = _map.CreateViewAccessor(0, bytes, MemoryMappedFileAccess.Read);
        byte* start = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        _tokens = (ushort*)start;
    }

    /// <summary>Opens a shard.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file's size is not a whole number of tokens.</exception>
    public static TokenShard Open(string path)
    {
        var bytes = new FileInfo(path).Length;
        if (bytes % sizeof(ushort) != 0)
            throw new InvalidDataException(
                $"{path}: {bytes:N0} bytes is not a whole number of 2-byte tokens. Was it cut short? Delete it and pretokenise again.");
        return new TokenShard(path, bytes);
    }

    /// <summary>The shard's file.</summary>
    public string Path { get; }

    /// <summary>Number of tokens.</summary>
    public long Length { get; }

    /// <summary>Copies tokens [start, start + destination.Length).</summary>
    /// <exception cref="ArgumentOutOfRangeException">They do not all lie in the shard.</exception>
    public void Read(long start, Span<long> destination)
    {
        var source = Slice(start, destination.Length);
        for (var i = 0; i < source.Length; i++)
            destination[i] = source[i];
    }

    /// <summary>Reads the whole shard once to see that every token belongs to the vocabulary.</summary>
    /// <param name="vocabSize">The number of ids.</param>
    /// <exception cref="InvalidDataException">A token is not below <paramref name="vocabSize"/>.</exception>
    public void Check(int vocabSize)
    {
        if (vocabSize > ushort.MaxValue)
            return;     // 2 bytes hold no greater id
        const int Block = 1 << 20;
        for (long start = 0; start < Length; start += Block)
        {
            var block = Slice(start, (int)Math.Min(Block, Length - start));
            var bad = block.IndexOfAnyExceptInRange((ushort)0, (ushort)(vocabSize - 1));
            if (bad >= 0)
                throw new InvalidDataException(
                    $"{Path}: token {block[bad]} at index {start + bad:N0} does not fit a vocabulary of {vocabSize:N0}. " +
                    "Was it made with another tokenizer? Delete it and pretokenise again.");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_view is null)
            return;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _map!.Dispose();
    }

    private ReadOnlySpan<ushort> Slice(long start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Length - count);
        return new ReadOnlySpan<ushort>(_tokens + start, count);
    }
}
