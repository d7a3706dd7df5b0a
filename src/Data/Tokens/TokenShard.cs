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
        var source = Tokens(start, destination.Length);
        for (var i = 0; i < source.Length; i++)
            destination[i] = source[i];
    }

    /// <summary>Reads the whole shard once to see that every token belongs to the vocabulary.</summary>
    /// <param name="vocabSize">The number of ids.</param>
    /// <exception cref="InvalidDataException">A token is not below <paramref name="vocabSize"/>.</exception>
    public void Check(int vocabSize)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabSize);
        const int Block = 1 << 20;
        var greatest = (ushort)Math.Min(vocabSize - 1, ushort.MaxValue);
        for (long start = 0; start < Length; start += Block)
        {
            var block = Tokens(start, (int)Math.Min(Block, Length - start));
            var bad = block.IndexOfAnyExceptInRange((ushort)0, greatest);
            if (bad >= 0)
                throw new InvalidDataException(
                    $"{Path}: token {block[bad]} at index {start + bad:N0} does not fit a vocabulary of {vocabSize:N0}. " +
                    "Was it made with another tokenizer? Delete it and pretokenise again.");
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private ReadOnlySpan<ushort> Tokens(long start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Length - count);
        return MemoryMarshal.Cast<byte, ushort>(_file.Span(start * sizeof(ushort), count * sizeof(ushort)));
    }
}
