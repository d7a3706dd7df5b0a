using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>Encodes prepared text: cuts it where no piece can reach across, and takes each stretch from the cache, or merges it.</summary>
/// <remarks>Not for use by two threads at once; <see cref="Tokenizer"/> has one for each caller.</remarks>
internal sealed class Encoder
{
    /// <summary>Bytes after the text that must be readable; what they are does not matter.</summary>
    public const int ReadableAfterText = 32;

    private const int BlockBytes = 1 << 12;
    private const int LargestKeptBuffer = 1 << 20;

    private readonly PieceTable _table;
    private readonly JoinTable _joins;
    private readonly UnionCache _unions;
    private readonly WordBatch _batch;
    private readonly WordCache _cache = new();
    private PairMerger? _merger;
    private byte[] _buffer = [];

    /// <summary>Encodes by these pieces, whose joins those are.</summary>
    public Encoder(PieceTable table, JoinTable joins)
    {
        (_table, _joins, _unions) = (table, joins, new UnionCache(table));
        _batch = new WordBatch(table, _unions);
    }

    /// <summary>A buffer for the text while it is prepared, at least this long and readable after its end.</summary>
    public Span<byte> Buffer(int length)
    {
        if (_buffer.Length - ReadableAfterText < length)
            _buffer = new byte[Math.Max(length, 2 * _buffer.Length) + ReadableAfterText];
        return _buffer.AsSpan(0, length);
    }

    /// <summary>Appends the ids of a text; <see cref="ReadableAfterText"/>.</summary>
    public void Encode(ReadOnlySpan<byte> text, List<int> ids)
    {
        // A block at a time, so that the list has room for every id that may come, and not for those of a whole large text.
        while (!text.IsEmpty)
        {
            var block = text[.._joins.NextCut(text, BlockBytes)];
            text = text[block.Length..];
            var before = ids.Count;
            CollectionsMarshal.SetCount(ids, before + block.Length + WordCache.IdsWritten);
            var written = EncodeBlock(block, CollectionsMarshal.AsSpan(ids)[before..]);
            CollectionsMarshal.SetCount(ids, before + written);
        }
        if (_buffer.Length > LargestKeptBuffer)
            _buffer = [];
    }

    // Fewer ids are written than bytes are read, so there is room for all of them, and for the cache to write eight at once.
    private int EncodeBlock(ReadOnlySpan<byte> text, Span<int> ids)
    {
        var written = 0;
        for (var at = 0; at < text.Length;)
        {
            var length = StretchLength(text, at);
            var known = length <= WordCache.MaxBytes ? _cache.TryGet(Key(text, at, length), ref ids[written]) : 0;
            if (known != 0)
                at += length;
            else
                known = EncodeUnknown(text, ref at, length, ids[written..]);
            written += known;
        }
        return written;
    }

    // A stretch that is not in the cache, and those after it that are not there either, up to a full batch.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private int EncodeUnknown(ReadOnlySpan<byte> text, ref int at, int length, Span<int> ids)
    {
        if (length > ShortWord.MaxBytes)
        {
            at += length;
            return (_merger ??= new PairMerger(_table, _unions)).Encode(text.Slice(at - length, length), ids);
        }
        _batch.Clear();
        do
        {
            _batch.Add(text, at, length);
            at += length;
            if (_batch.IsFull || at == text.Length)
                break;
            length = StretchLength(text, at);
        }
        while (length <= WordCache.MaxBytes ? !_cache.Contains(Key(text, at, length)) : length <= ShortWord.MaxBytes);
        _batch.Merge(text);

        var written = 0;
        foreach (var word in _batch.Words)
        {
            var count = word.Write(text, ids[written..]);
            if (word.Length <= WordCache.MaxBytes)
                _cache.Add(Key(text, word.Start, word.Length), ids.Slice(written, count));
            written += count;
        }
        return written;
    }

    // Up to the next space after another character, if no piece reaches across one, else up to a place that none reaches across.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int StretchLength(ReadOnlySpan<byte> text, int at)
    {
        var next = Vector256.LoadUnsafe(ref MemoryMarshal.GetReference(text), (nuint)at);
        var length = _joins.AreWordsSeparate ? WordLength(next) : Vector256<byte>.Count;
        return length < Vector256<byte>.Count ? Math.Min(length, text.Length - at) : _joins.NextCut(text[at..], 1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Key(ReadOnlySpan<byte> text, int at, int length) =>
        WordCache.Key(Vector128.LoadUnsafe(ref MemoryMarshal.GetReference(text), (nuint)at), length);

    // Where the next word starts, at a space after another character; 32 if that is not among the bytes.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int WordLength(Vector256<byte> text)
    {
        var spaces = Vector256.Equals(text, Vector256.Create((byte)' ')).ExtractMostSignificantBits();
        return BitOperations.TrailingZeroCount(spaces & ~(spaces << 1) & ~1u);
    }
}
