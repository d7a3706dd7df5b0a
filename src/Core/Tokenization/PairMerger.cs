using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>Byte pair encoding of one stretch of text: again and again the two neighbours whose union is the best piece become one, leftmost on ties.</summary>
/// <remarks>
/// A symbol is named by the byte where it starts. In a short stretch, a word, the best union is found by looking at all; in a long one
/// by a heap, O(n log n) for n bytes. Both give the same ids. Holds its buffers for the next call; not for use by two threads at once.
/// </remarks>
internal sealed class PairMerger(PieceTable table)
{
    // Up to here looking at all unions, eight at a time, is faster than a heap.
    private const int ShortBytes = 32;

    private readonly UnionCache _unions = new(table);
    private readonly uint[] _ranks = new uint[ShortBytes]; // by start, in a short stretch: the rank of the union with the next symbol
    private PriorityQueue<int, ulong>? _heap; // in a long one: the length of each union, by (rank, start); made when the first comes
    private Symbol[] _symbols = new Symbol[ShortBytes]; // by start

    private struct Symbol
    {
        public int Id; // None for a character that is no piece
        public int Length; // in bytes; 0 where no symbol starts
        public int Previous; // where the symbol before starts; -1 for the first
        public int Union; // the id of what it makes with the next symbol, if that is a piece
    }

    /// <summary>Encodes a stretch of text.</summary>
    /// <param name="text">The text, with spaces as spaces.</param>
    /// <param name="ids">Receives the ids, one for each byte at most: a character that is no piece becomes its bytes.</param>
    /// <returns>Ids written.</returns>
    public int Encode(ReadOnlySpan<byte> text, Span<int> ids)
    {
        SplitIntoCharacters(text);
        if (text.Length <= ShortBytes)
            MergeByScan(text);
        else
            MergeByHeap(text);

        var written = 0;
        for (var start = 0; start < text.Length; start += _symbols[start].Length)
        {
            var symbol = _symbols[start];
            if (symbol.Id != PieceTable.None)
                ids[written++] = symbol.Id;
            else
                foreach (var b in text.Slice(start, symbol.Length))
                    ids[written++] = Vocabulary.FirstByte + b;
        }
        return written;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void SplitIntoCharacters(ReadOnlySpan<byte> text)
    {
        if (_symbols.Length < text.Length)
            _symbols = new Symbol[Math.Max(text.Length, 2 * _symbols.Length)];
        var previous = -1;
        for (var start = 0; start < text.Length;)
        {
            var id = table.FindCharacter(text[start..], out var length);
            _symbols[start] = new Symbol { Id = id, Length = length, Previous = previous };
            for (var inside = 1; inside < length; inside++)
                _symbols[start + inside].Length = 0;
            previous = start;
            start += length;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void MergeByScan(ReadOnlySpan<byte> text)
    {
        var ranks = _ranks.AsSpan();
        for (var at = 0; at < ranks.Length; at++)
            ranks[at] = Union.NoRank; // Span.Fill would be compiled first: a millisecond before the first prompt
        for (var left = 0; left < text.Length; left += _symbols[left].Length)
            ranks[left] = FindUnion(text, left);
        while (IndexOfLeast(ranks, text.Length) is var left && ranks[left] != Union.NoRank)
        {
            ranks[left + _symbols[left].Length] = Union.NoRank;
            Merge(text, left);
            ranks[left] = FindUnion(text, left);
            if (_symbols[left].Previous is >= 0 and var previous)
                ranks[previous] = FindUnion(text, previous);
        }
    }

    // The first of the least numbers, without a branch on any of them: which is the least cannot be foreseen.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int IndexOfLeast(ReadOnlySpan<uint> ranks, int count)
    {
        ref var first = ref MemoryMarshal.GetReference(ranks);
        var eight = Vector256.LoadUnsafe(ref first);
        for (var at = Vector256<uint>.Count; at < count; at += Vector256<uint>.Count)
            eight = Vector256.Min(eight, Vector256.LoadUnsafe(ref first, (nuint)at));
        var four = Vector128.Min(eight.GetLower(), eight.GetUpper());
        var two = Vector128.Min(four, Vector128.Shuffle(four, Vector128.Create(2u, 3u, 0u, 1u)));
        var least = Vector256.Create(Math.Min(two.GetElement(0), two.GetElement(1)));
        for (var at = 0; ; at += Vector256<uint>.Count)
            if (Vector256.Equals(Vector256.LoadUnsafe(ref first, (nuint)at), least).ExtractMostSignificantBits() is not 0 and var equal)
                return at + BitOperations.TrailingZeroCount(equal);
    }

    private void MergeByHeap(ReadOnlySpan<byte> text)
    {
        _heap ??= new PriorityQueue<int, ulong>();
        for (var left = 0; left < text.Length; left += _symbols[left].Length)
            AddToHeap(_heap, text, left);
        while (_heap.TryDequeue(out var length, out var place))
        {
            // A union has been overtaken where one of its halves is part of another by now: the two no longer have its length.
            var left = (int)(uint)place;
            var right = left + _symbols[left].Length;
            if (_symbols[left].Length == 0 || right >= text.Length || _symbols[left].Length + _symbols[right].Length != length)
                continue;
            Merge(text, left);
            AddToHeap(_heap, text, left);
            if (_symbols[left].Previous is >= 0 and var previous)
                AddToHeap(_heap, text, previous);
        }
    }

    private void AddToHeap(PriorityQueue<int, ulong> heap, ReadOnlySpan<byte> text, int left)
    {
        var rank = FindUnion(text, left);
        if (rank == Union.NoRank)
            return;
        var length = _symbols[left].Length + _symbols[left + _symbols[left].Length].Length;
        heap.Enqueue(length, ((ulong)rank << 32) | (uint)left);
    }

    // Notes what a symbol and the one after it make, and returns its rank.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint FindUnion(ReadOnlySpan<byte> text, int left)
    {
        ref var symbol = ref _symbols[left];
        var right = left + symbol.Length;
        if (right >= text.Length)
            return Union.NoRank;
        var next = _symbols[right];
        var union = _unions.Find(symbol.Id, next.Id, text.Slice(left, symbol.Length + next.Length));
        symbol.Union = union.Id;
        return union.Rank;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Merge(ReadOnlySpan<byte> text, int left)
    {
        ref var symbol = ref _symbols[left];
        ref var right = ref _symbols[left + symbol.Length];
        symbol.Id = symbol.Union;
        symbol.Length += right.Length;
        right.Length = 0;
        if (left + symbol.Length < text.Length)
            _symbols[left + symbol.Length].Previous = left;
    }
}
