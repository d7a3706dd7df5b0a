using System.Runtime.CompilerServices;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>Which piece two pieces make side by side: an answer is looked up by its bytes once, and then remembered.</summary>
/// <remarks>
/// Direct-mapped: the newest stays. All unions of Llama 2's vocabulary would take 8 ms to find beforehand, and a usual text asks for few of them;
/// one that asks for many gets a <see cref="UnionFilter"/>, which finds them all.
/// Not for use by two threads at once.
/// </remarks>
internal sealed class UnionCache(PieceTable table)
{
    /// <summary>The id of what is at both ends of a text: with it none makes anything.</summary>
    public const int Nothing = 0; // the unknown piece's, which no text is

    // 16 bytes each: 8 KB for a prompt, whose first touch of a page costs more than its answer; then up to a quarter of a megabyte, for the second cache.
    private const int FirstBits = 9;
    private const int LastBits = 14;
    private const int ManyLookUps = 1 << 16; // far more than a prompt has

    private readonly Union[] _ascii = new Union[128 * 128]; // by both characters; no answer yet where all is 0
    private Entry[] _entries = new Entry[1 << FirstBits];
    private int _shift = 64 - FirstBits;
    private UnionFilter _filter = UnionFilter.Open;
    private int _lookUps;

    private struct Entry
    {
        public ulong Key; // both ids; never 0, since id 0 is the unknown piece, which no text is
        public Union Union;
    }

    /// <summary>The union of two neighbours, if that is known.</summary>
    /// <param name="left">The left one's id, or <see cref="PieceTable.None"/> for a character that is no piece, or <see cref="Nothing"/>.</param>
    /// <param name="right">The right one's.</param>
    /// <param name="union">Receives it; where its rank says that they make none, its id means nothing.</param>
    /// <returns>False if it has to be asked for by <see cref="Learn"/>.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryFind(int left, int right, out Union union)
    {
        var key = Key(left, right);
        var hash = Hash(key);
        ref var entry = ref _entries[hash >> _shift];
        // Whether two pieces make a third cannot be foreseen, so no branch hangs on it, but on whether the answer is new.
        var isKnown = entry.Key == key;
        union = new Union(entry.Union.Id, entry.Union.Rank | ((isKnown ? 1u : 0u) - 1));
        return !((!isKnown & _filter.MayBe(hash)) | (left | right) < 0);
    }

    /// <summary>The union of two ASCII characters: what most merging begins with.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Union FindAscii(byte left, byte right)
    {
        ref var union = ref _ascii[left << 7 | right];
        if (union == default)
            union = LookUp([left, right]);
        return union;
    }

    /// <summary>Two ids as one number.</summary>
    public static ulong Key(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;

    /// <summary>A key whose high bits are mixed of all of it.</summary>
    public static ulong Hash(ulong key) => key * 0x9E3779B97F4A7C15;

    /// <summary>The union of two neighbours by their text, which is remembered.</summary>
    /// <param name="left">As for <see cref="TryFind"/>.</param>
    /// <param name="right">The right one's.</param>
    /// <param name="text">The text of both.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public Union Learn(int left, int right, ReadOnlySpan<byte> text)
    {
        var union = LookUp(text);
        if ((left | right) < 0)
            return union;
        if (++_lookUps == ManyLookUps)
            _filter = table.Filter;
        if (_lookUps > _entries.Length && _shift > 64 - LastBits)
            Grow();
        var key = Key(left, right);
        _entries[Hash(key) >> _shift] = new Entry { Key = key, Union = union };
        return union;
    }

    private Union LookUp(ReadOnlySpan<byte> text)
    {
        var id = table.Find(text);
        return id == PieceTable.None ? Union.None : new Union(id, table.Rank(id));
    }

    private void Grow()
    {
        var old = _entries;
        _entries = new Entry[2 * old.Length];
        _shift--;
        foreach (var entry in old)
            if (entry.Key != 0)
                _entries[Hash(entry.Key) >> _shift] = entry;
    }
}

/// <summary>A piece that two neighbours make.</summary>
/// <param name="Id">Its id; <see cref="PieceTable.None"/> if they make none.</param>
/// <param name="Rank">The union of the least rank is merged first: <see cref="PieceTable.Rank"/>.</param>
internal readonly record struct Union(int Id, uint Rank)
{
    /// <summary>The rank of no piece.</summary>
    public const uint NoRank = uint.MaxValue;

    /// <summary>No piece.</summary>
    public static Union None => new(PieceTable.None, NoRank);
}
