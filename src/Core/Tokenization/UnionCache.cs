using System.Runtime.CompilerServices;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>Which piece two pieces make side by side: an answer is looked up by its bytes once, and then remembered.</summary>
/// <remarks>
/// Direct-mapped: the newest stays. All unions of Llama 2's vocabulary would take 8 ms to find beforehand; a text asks for few of them.
/// Not for use by two threads at once.
/// </remarks>
internal sealed class UnionCache(PieceTable table)
{
    private const int SlotBits = 14; // 16 bytes each: a quarter of a megabyte, for the second cache

    private readonly Entry[] _entries = new Entry[1 << SlotBits];

    private struct Entry
    {
        public ulong Key; // both ids; never 0, since id 0 is the unknown piece, which no text is
        public Union Union;
    }

    /// <summary>The union of two neighbours.</summary>
    /// <param name="left">The left one's id, or <see cref="PieceTable.None"/> for a character that is no piece.</param>
    /// <param name="right">The right one's.</param>
    /// <param name="text">The text of both.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Union Find(int left, int right, ReadOnlySpan<byte> text)
    {
        if ((left | right) < 0)
            return LookUp(text);
        var key = ((ulong)(uint)left << 32) | (uint)right;
        ref var entry = ref _entries[key * 0x9E3779B97F4A7C15 >> (64 - SlotBits)];
        if (entry.Key != key)
            entry = new Entry { Key = key, Union = LookUp(text) };
        return entry.Union;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private Union LookUp(ReadOnlySpan<byte> text)
    {
        var id = table.Find(text);
        return id == PieceTable.None ? Union.None : new Union(id, table.Rank(id));
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
