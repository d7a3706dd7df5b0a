// Which pair is merged next.
using System.Buffers.Binary;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>Pairs by (frequency descending, length ascending, text ascending, creation).</summary>
/// <remarks>
/// A lazy heap: a pair enters with its frequency of that moment, and since frequencies only fall, the top is the best pair as soon as its
/// frequency is still true; otherwise it goes back with the new one. Pairs below a floor wait outside of the heap; the floor is lowered
/// when the pairs above it become few.
/// </remarks>
internal sealed class PairQueue
{
    private const int FewPairs = 400;

    private readonly SymbolText _text;
    private Rank[] _frequent = new Rank[1 << 10]; // a heap: each comes before the two at 2 i + 1 and 2 i + 2
    private int _frequentCount;
    private readonly List<int> _rare = [];
    private long _floor = long.MaxValue; // every pair in _rare occurs less often
    private long _seenByAll; // see Refresh
    private int _firstNewPair;
    private int _taken;

    public PairQueue(SymbolText text)
    {
        _text = text;
        AddFrom(0);
    }

    /// <summary>Adds the pairs from a number on.</summary>
    public void AddFrom(int first)
    {
        for (var pair = first; pair < _text.PairCount; pair++)
            Add(pair);
    }

    /// <summary>Takes the best pair out; false when no pair occurs any more.</summary>
    public bool TryTake(out int pair)
    {
        while (_frequentCount > 0 || LowerFloor())
        {
            var rank = Dequeue();
            pair = rank.Pair;
            if (_text.Frequency(pair) == rank.Frequency)
            {
                _taken++;
                return true;
            }
            Add(pair);
        }
        pair = -1;
        return false;
    }

    /// <summary>Called before each hundredth piece, when sentencepiece chooses anew which pairs it looks at.</summary>
    /// <remarks>
    /// sentencepiece looks at the most frequent pairs alone, 1,000 or 5 % of them, and at those that came about since. Which pairs of the
    /// last such frequency are among them depends on the order of a hash table.
    /// </remarks>
    public void Refresh()
    {
        while (_frequentCount < FewPairs && LowerFloor())
        {
        }
        _firstNewPair = _text.PairCount;
        var looksAt = Math.Max(1000, (int)((_text.CharacterCount + _text.PairCount - _taken) * 0.05f));
        var waiting = _rare.Count == 0 ? 0 : _floor;
        _seenByAll = _frequentCount <= looksAt ? waiting : Math.Max(waiting, FrequencyOfFirst(looksAt));
    }

    /// <summary>Whether sentencepiece could have taken another pair than this one, which was just taken.</summary>
    public bool IsArbitrary(int pair) => pair < _firstNewPair && _text.Frequency(pair) < _seenByAll;

    private void Add(int pair)
    {
        var frequency = _text.Frequency(pair);
        if (frequency >= _floor)
            Enqueue(RankOf(pair));
        else if (frequency > 0)
            _rare.Add(pair);
    }

    // Halves the floor until a pair rises above it; false when none is left.
    private bool LowerFloor()
    {
        var most = 0L;
        foreach (var pair in _rare)
            most = Math.Max(most, _text.Frequency(pair));
        if (most == 0)
        {
            _rare.Clear();
            return false;
        }
        _floor = (most + 1) / 2;
        var waiting = _rare.ToArray();
        _rare.Clear();
        foreach (var pair in waiting)
            Add(pair);
        return true;
    }

    // The least frequency that no more than "count" pairs have or exceed; there are more pairs.
    private long FrequencyOfFirst(int count)
    {
        var frequencies = new long[_frequentCount];
        for (var i = 0; i < frequencies.Length; i++)
            frequencies[i] = _text.Frequency(_frequent[i].Pair);
        Array.Sort(frequencies);
        return frequencies[^(count + 1)] + 1;
    }

    // The heap is written out: PriorityQueue, of values of our own, would be compiled at every start, and be slow until then.
    private void Enqueue(Rank rank)
    {
        if (_frequentCount == _frequent.Length)
            Array.Resize(ref _frequent, 2 * _frequentCount);
        var at = _frequentCount++;
        while (at > 0 && Compare(rank, _frequent[(at - 1) / 2]) < 0)
        {
            _frequent[at] = _frequent[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        _frequent[at] = rank;
    }

    private Rank Dequeue()
    {
        var best = _frequent[0];
        var last = _frequent[--_frequentCount];
        var at = 0;
        for (int next; (next = (2 * at) + 1) < _frequentCount; at = next)
        {
            if (next + 1 < _frequentCount && Compare(_frequent[next + 1], _frequent[next]) < 0)
                next++;
            if (Compare(last, _frequent[next]) <= 0)
                break;
            _frequent[at] = _frequent[next];
        }
        _frequent[at] = last;
        return best;
    }

    private Rank RankOf(int pair)
    {
        Span<byte> text = stackalloc byte[SymbolText.MaxTextBytes];
        text[..sizeof(ulong)].Clear();
        _text.WriteText(pair, text);
        return new Rank(_text.Frequency(pair), BinaryPrimitives.ReadUInt64BigEndian(text), pair, (byte)_text.Length(pair));
    }

    private int Compare(in Rank a, in Rank b)
    {
        if (a.Frequency != b.Frequency)
            return b.Frequency.CompareTo(a.Frequency);
        if (a.Length != b.Length)
            return a.Length.CompareTo(b.Length);
        return a.Prefix != b.Prefix ? a.Prefix.CompareTo(b.Prefix) : CompareTexts(a.Pair, b.Pair);
    }

    private int CompareTexts(int a, int b)
    {
        Span<byte> left = stackalloc byte[SymbolText.MaxTextBytes];
        Span<byte> right = stackalloc byte[SymbolText.MaxTextBytes];
        left = left[.._text.WriteText(a, left)];
        right = right[.._text.WriteText(b, right)];
        var order = left.SequenceCompareTo(right);
        return order != 0 ? order : a.CompareTo(b);
    }

    // Prefix: the first 8 bytes of the text as a number that sorts like them; it settles most comparisons.
    private readonly record struct Rank(long Frequency, ulong Prefix, int Pair, byte Length);
}
