using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>Encodes prepared text: cuts it where no piece can reach across, and merges each stretch by itself, or takes it from the cache.</summary>
/// <remarks>Not for use by two threads at once; <see cref="Tokenizer"/> has one for each caller.</remarks>
internal sealed class Encoder(PieceTable table, JoinTable joins)
{
    /// <summary>Bytes after the text that must be readable; what they are does not matter.</summary>
    public const int ReadableAfterText = 16;

    private const int BlockBytes = 1 << 12;
    private const int LargestKeptBuffer = 1 << 20;

    private readonly PairMerger _merger = new(table);
    private readonly WordCache _cache = new();
    private byte[] _buffer = [];

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
            var block = text[..joins.NextCut(text, BlockBytes)];
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
        ref var bytes = ref MemoryMarshal.GetReference(text);
        var written = 0;
        for (int at = 0, length; at < text.Length; at += length)
        {
            var next = Vector128.LoadUnsafe(ref bytes, (nuint)at);
            length = joins.AreWordsSeparate ? Math.Min(WordLength(next), text.Length - at) : Vector128<byte>.Count;
            if (length > WordCache.MaxBytes)
                length = joins.NextCut(text[at..], 1);
            if (length > WordCache.MaxBytes)
            {
                written += _merger.Encode(text.Slice(at, length), ids[written..]);
                continue;
            }
            var key = WordCache.Key(next, length);
            var known = _cache.TryGet(key, ref ids[written]);
            if (known == 0)
            {
                known = _merger.Encode(text.Slice(at, length), ids[written..]);
                _cache.Add(key, ids.Slice(written, known));
            }
            written += known;
        }
        return written;
    }

    // Where the next word starts, at a space after another character; 16 if that is not among the bytes.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int WordLength(Vector128<byte> text)
    {
        var spaces = Vector128.Equals(text, Vector128.Create((byte)' ')).ExtractMostSignificantBits();
        var starts = spaces & ~(spaces << 1) & ~1u;
        return BitOperations.TrailingZeroCount(starts | (1u << Vector128<byte>.Count));
    }
}
