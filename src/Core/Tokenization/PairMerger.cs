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
    // Up to here looking at all unions is faster than a heap: their ranks fill four registers of eight.
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
        ref var ranks = ref MemoryMarshal.GetReference(_ranks.AsSpan());
        for (var at = 0; at < ShortBytes; at++)
            Unsafe.Add(ref ranks, at) = Union.NoRank; // Span.Fill would be compiled first: a millisecond before the first prompt
        for (var left = 0; left < text.Length; left += _symbols[left].Length)
            Unsafe.Add(ref ranks, left) = FindUnion(text, left);

        // From here on in registers: a number that was just written alone is not to be had as one of eight before it is in the cache.
        var (a, b) = (Vector256.LoadUnsafe(ref ranks), Vector256.LoadUnsafe(ref ranks, 8));
        var (c, d) = (Vector256.LoadUnsafe(ref ranks, 16), Vector256.LoadUnsafe(ref ranks, 24));
        while (TryFindLeast(a, b, c, d, out var left))
        {
            var gone = left + _symbols[left].Length;
            Merge(text, left);
            var rank = FindUnion(text, left);
            var previous = _symbols[left].Previous;
            var rankBefore = previous >= 0 ? FindUnion(text, previous) : Union.NoRank;
            a = With(With(With(a, 0, gone, Union.NoRank), 0, left, rank), 0, previous, rankBefore);
            b = With(With(With(b, 8, gone, Union.NoRank), 8, left, rank), 8, previous, rankBefore);
            c = With(With(With(c, 16, gone, Union.NoRank), 16, left, rank), 16, previous, rankBefore);
            d = With(With(With(d, 24, gone, Union.NoRank), 24, left, rank), 24, previous, rankBefore);
        }
    }

    // Eight ranks with another at a place, which may be elsewhere; they begin with that of place `first`.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> With(Vector256<uint> ranks, uint first, int place, uint rank)
    {
        var places = Vector256.Create(first, first + 1, first + 2, first + 3, first + 4, first + 5, first + 6, first + 7);
        return Vector256.ConditionalSelect(Vector256.Equals(places, Vector256.Create((uint)place)), Vector256.Create(rank), ranks);
    }

    // The place of the first of the least ranks, without a branch on any of them: which is the least cannot be foreseen.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryFindLeast(Vector256<uint> a, Vector256<uint> b, Vector256<uint> c, Vector256<uint> d, out int place)
    {
        var eight = Vector256.Min(Vector256.Min(a, b), Vector256.Min(c, d));
        var four = Vector128.Min(eight.GetLower(), eight.GetUpper());
        var two = Vector128.Min(four, Vector128.Shuffle(four, Vector128.Create(2u, 3, 0, 1)));
        var one = Vector128.Min(two, Vector128.Shuffle(two, Vector128.Create(1u, 0, 3, 2)));
        var least = Vector256.Create(one, one);
        place = BitOperations.TrailingZeroCount(
            Vector256.Equals(a, least).ExtractMostSignificantBits() | Vector256.Equals(b, least).ExtractMostSignificantBits() << 8
            | Vector256.Equals(c, least).ExtractMostSignificantBits() << 16 | Vector256.Equals(d, least).ExtractMostSignificantBits() << 24);
        return one.ToScalar() != Union.NoRank;
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
