namespace LlamaFullstack.Core.Tokenization;

/// <summary>Byte pair encoding of a stretch of text of any length: the best union is found by a heap, O(n log n) for n bytes.</summary>
/// <remarks>A symbol is named by the byte where it starts. Holds its buffers for the next call; not for use by two threads at once.</remarks>
internal sealed class PairMerger(PieceTable table, UnionCache unions)
{
    private readonly PriorityQueue<int, ulong> _heap = new(); // the length of each union, by (rank, start)
    private Symbol[] _symbols = []; // by start

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
        MergeAll(text);

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

    private void MergeAll(ReadOnlySpan<byte> text)
    {
        for (var left = 0; left < text.Length; left += _symbols[left].Length)
            Add(text, left);
        while (_heap.TryDequeue(out var length, out var place))
        {
            // A union has been overtaken where one of its halves is part of another by now: the two no longer have its length.
            var left = (int)(uint)place;
            var right = left + _symbols[left].Length;
            if (_symbols[left].Length == 0 || right >= text.Length || _symbols[left].Length + _symbols[right].Length != length)
                continue;
            Merge(text, left);
            Add(text, left);
            if (_symbols[left].Previous is >= 0 and var previous)
                Add(text, previous);
        }
    }

    private void Add(ReadOnlySpan<byte> text, int left)
    {
        var rank = FindUnion(text, left);
        if (rank == Union.NoRank)
            return;
        var length = _symbols[left].Length + _symbols[left + _symbols[left].Length].Length;
        _heap.Enqueue(length, ((ulong)rank << 32) | (uint)left);
    }

    // Notes what a symbol and the one after it make, and returns its rank.
    private uint FindUnion(ReadOnlySpan<byte> text, int left)
    {
        ref var symbol = ref _symbols[left];
        var right = left + symbol.Length;
        if (right >= text.Length)
            return Union.NoRank;
        var next = _symbols[right];
        if (!unions.TryFind(symbol.Id, next.Id, out var union))
            union = unions.Learn(symbol.Id, next.Id, text.Slice(left, symbol.Length + next.Length));
        symbol.Union = union.Id;
        return union.Rank;
    }

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
