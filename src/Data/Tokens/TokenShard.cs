// A shard as tokens: story after story, each with BOS in front, little-endian, no header. NAME.bin has 2 bytes a token, as llama2.c's;
// NAME.u32 has 4, for vocabularies that 2 bytes cannot number. The name says it, so that neither is ever read as the other.
// The file is mapped into memory: opening it costs nothing, and its pages are read when they are first touched.

using System.Runtime.InteropServices;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Data.Tokens;

/// <summary>Read access to the tokens of one shard, from any number of threads.</summary>
public sealed class TokenShard : IDisposable
{
    /// <summary>How the name of a shard with 2 bytes a token ends.</summary>
    public const string Extension16 = ".bin";

    /// <summary>How the name of a shard with 4 bytes a token ends.</summary>
    public const string Extension32 = ".u32";

    private readonly MappedFile _file;
    private readonly int _tokenSize;

    private TokenShard(MappedFile file, int tokenSize) => (_file, _tokenSize) = (file, tokenSize);

    /// <summary>Opens a shard.</summary>
    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is empty, or its size is not a whole number of tokens.</exception>
    public static TokenShard Open(string path)
    {
        var tokenSize = TokenSize(path);
        var file = MappedFile.Open(path);
        if (file.Length % tokenSize == 0)
            return new TokenShard(file, tokenSize);
        file.Dispose();
        throw new InvalidDataException(
            $"{path}: {file.Length:N0} bytes is not a whole number of {tokenSize}-byte tokens. Was it cut short? Delete it and pretokenise again.");
    }

    /// <summary>Opens shards: all of them, or none where one cannot be opened.</summary>
    /// <inheritdoc cref="Open" path="/exception"/>
    public static TokenShard[] OpenAll(IReadOnlyList<string> paths)
    {
        var shards = new List<TokenShard>(paths.Count);
        try
        {
            foreach (var path in paths)
                shards.Add(Open(path));
            return [.. shards];
        }
        catch
        {
            shards.ForEach(shard => shard.Dispose());
            throw;
        }
    }

    /// <summary>How the names of the shards of a vocabulary end: <see cref="Extension16"/> as far as 2 bytes can number its pieces.</summary>
    public static string ExtensionFor(int vocabSize) => vocabSize <= ushort.MaxValue + 1 ? Extension16 : Extension32;

    /// <summary>Bytes a token in the shard of that name.</summary>
    public static int TokenSize(string path) => path.EndsWith(Extension32, StringComparison.Ordinal) ? sizeof(uint) : sizeof(ushort);

    /// <summary>The shard's file.</summary>
    public string Path => _file.Path;

    /// <summary>Number of tokens.</summary>
    public long Length => _file.Length / _tokenSize;

    /// <summary>Copies the tokens [start, start + destination.Length).</summary>
    /// <exception cref="ArgumentOutOfRangeException">They do not all lie in the shard.</exception>
    public void Read(long start, Span<long> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Length - destination.Length);
        var source = _file.Span(start * _tokenSize, destination.Length * _tokenSize);
        if (_tokenSize == sizeof(ushort))
            Widen(MemoryMarshal.Cast<byte, ushort>(source), destination);
        else
            Widen(MemoryMarshal.Cast<byte, uint>(source), destination);
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private static void Widen(ReadOnlySpan<ushort> source, Span<long> destination)
    {
        for (var i = 0; i < source.Length; i++)
            destination[i] = source[i];
    }

    private static void Widen(ReadOnlySpan<uint> source, Span<long> destination)
    {
        for (var i = 0; i < source.Length; i++)
            destination[i] = source[i];
    }
}
