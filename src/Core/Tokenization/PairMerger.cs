namespace LlamaFullstack.Core.Tokenization;

/// <summary>The merges of one text: a linked list of symbols, and a heap of the unions that are pieces.</summary>
/// <remarks>
/// A symbol is a stretch of the text, named by the byte where it starts. A candidate that has been overtaken (one of its halves has
/// merged with another neighbour) is recognised when it is taken from the heap, since its union no longer has the length that it had.
/// </remarks>
internal ref struct PairMerger
{
    private readonly ReadOnlySpan<byte> _text;
    private readonly PieceTable _table;
    private readonly int[] _length;   // by start: the symbol's bytes; 0 where no symbol starts
    private readonly int[] _previous; // by start: where the symbol before it starts; -1 for the first
    private readonly PriorityQueue<(int Left, int Right, int Length), Rank> _candidates;

    /// <summary>Splits a text into characters.</summary>
    public PairMerger(ReadOnlySpan<byte> text, PieceTable table)
    {
        _text = text;
        _table = table;
        _length = new int[text.Length];
        _previous = new int[text.Length];
        _candidates = new(RankComparer);
        var previous = -1;
        for (var start = 0; start < text.Length; start += _length[start])
        {
            _length[start] = CharacterLength(text[start..]);
            _previous[start] = previous;
            previous = start;
        }
    }

    private static readonly Comparer<Rank> RankComparer = Comparer<Rank>.Create(static (a, b) =>
        a.Score != b.Score ? b.Score.CompareTo(a.Score) : a.Left.CompareTo(b.Left));

    /// <summary>The order of merges: the best score first, then the leftmost.</summary>
    private readonly record struct Rank(float Score, int Left);

    /// <summary>Merges until no union is a piece, then appends the ids.</summary>
    /// <param name="byteIds">The id of each byte, for characters that are no piece.</param>
    /// <param name="ids">Receives the ids.</param>
    public readonly void Merge(int[] byteIds, List<int> ids)
    {
        for (var left = 0; left < _text.Length; left += _length[left])
            AddCandidate(left);

        while (_candidates.TryDequeue(out var pair, out _))
        {
            if (_length[pair.Left] == 0 || _length[pair.Right] == 0 || _length[pair.Left] + _length[pair.Right] != pair.Length)
                continue; // overtaken
            _length[pair.Left] = pair.Length;
            _length[pair.Right] = 0;
            var next = pair.Left + pair.Length;
            if (next < _text.Length)
                _previous[next] = pair.Left;
            AddCandidate(pair.Left);
            if (_previous[pair.Left] >= 0)
                AddCandidate(_previous[pair.Left]);
        }

        for (var start = 0; start < _text.Length; start += _length[start])
        {
            var symbol = _text.Slice(start, _length[start]);
            var id = _table.Find(symbol);
            if (id >= 0)
                ids.Add(id);
            else
                foreach (var b in symbol)
                    ids.Add(byteIds[b]);
        }
    }

    private readonly void AddCandidate(int left)
    {
        var right = left + _length[left];
        if (right >= _text.Length)
            return;
        var length = _length[left] + _length[right];
        var id = _table.Find(_text.Slice(left, length));
        if (id >= 0)
            _candidates.Enqueue((left, right, length), new Rank(_table.Score(id), left));
    }

    /// <summary>Bytes of the UTF-8 character in front; 1 for a byte that begins none.</summary>
    private static int CharacterLength(ReadOnlySpan<byte> text) =>
        text[0] < 0x80 || System.Text.Rune.DecodeFromUtf8(text, out _, out var consumed) != System.Buffers.OperationStatus.Done ? 1 : consumed;
}
