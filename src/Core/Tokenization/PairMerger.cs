using System.Buffers;
using System.Text;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>Byte pair encoding of one stretch of text: a linked list of symbols, and a heap of the unions that are pieces.</summary>
/// <remarks>
/// A symbol is named by the byte where it starts. A candidate that has been overtaken (one of its halves has merged with another
/// neighbour) is recognised when it is taken from the heap, since the two symbols no longer have the length that they had together.
/// Cost: O(n log n) for n bytes. Holds its buffers for the next call; not for use by two threads at once.
/// </remarks>
internal sealed class PairMerger(PieceTable table, int[] byteIds)
{
    private static readonly Comparer<Rank> BestThenLeftmost = Comparer<Rank>.Create(static (a, b) =>
        a.Score != b.Score ? b.Score.CompareTo(a.Score) : a.Left.CompareTo(b.Left));

    private readonly PriorityQueue<Candidate, Rank> _candidates = new(BestThenLeftmost);
    private int[] _length = [];   // by start: the symbol's bytes; 0 where no symbol starts
    private int[] _previous = []; // by start: where the symbol before it starts; -1 for the first

    private readonly record struct Candidate(int Left, int Right, int Length);

    /// <summary>The order of merges: the best score first, then the leftmost.</summary>
    private readonly record struct Rank(float Score, int Left);

    /// <summary>Encodes a stretch of text.</summary>
    /// <param name="text">The text, with spaces as spaces.</param>
    /// <param name="ids">Receives the ids; a character that is no piece becomes its bytes.</param>
    public void Encode(ReadOnlySpan<byte> text, List<int> ids)
    {
        SplitIntoCharacters(text);
        MergePairs(text);
        for (var start = 0; start < text.Length; start += _length[start])
        {
            var symbol = text.Slice(start, _length[start]);
            var id = table.Find(symbol);
            if (id >= 0)
                ids.Add(id);
            else
                foreach (var b in symbol)
                    ids.Add(byteIds[b]);
        }
    }

    private void SplitIntoCharacters(ReadOnlySpan<byte> text)
    {
        if (_length.Length < text.Length)
        {
            _length = new int[Math.Max(text.Length, 2 * _length.Length)];
            _previous = new int[_length.Length];
        }
        var previous = -1;
        for (var start = 0; start < text.Length; start += _length[start])
        {
            _length[start] = CharacterLength(text[start..]);
            _length.AsSpan(start + 1, _length[start] - 1).Clear();
            _previous[start] = previous;
            previous = start;
        }
    }

    private void MergePairs(ReadOnlySpan<byte> text)
    {
        for (var left = 0; left < text.Length; left += _length[left])
            AddCandidate(text, left);

        while (_candidates.TryDequeue(out var pair, out _))
        {
            if (_length[pair.Left] == 0 || _length[pair.Right] == 0 || _length[pair.Left] + _length[pair.Right] != pair.Length)
                continue; // overtaken
            _length[pair.Left] = pair.Length;
            _length[pair.Right] = 0;
            var next = pair.Left + pair.Length;
            if (next < text.Length)
                _previous[next] = pair.Left;
            AddCandidate(text, pair.Left);
            if (_previous[pair.Left] >= 0)
                AddCandidate(text, _previous[pair.Left]);
        }
    }

    private void AddCandidate(ReadOnlySpan<byte> text, int left)
    {
        var right = left + _length[left];
        if (right >= text.Length)
            return;
        var length = _length[left] + _length[right];
        var id = table.Find(text.Slice(left, length));
        if (id >= 0)
            _candidates.Enqueue(new Candidate(left, right, length), new Rank(table.Score(id), left));
    }

    /// <summary>Bytes of the UTF-8 character in front; 1 for a byte that begins none.</summary>
    private static int CharacterLength(ReadOnlySpan<byte> text) =>
        text[0] < 0x80 || Rune.DecodeFromUtf8(text, out _, out var consumed) != OperationStatus.Done ? 1 : consumed;
}
