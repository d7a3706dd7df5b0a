using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>The ids of short stretches of text that have been encoded before: most of any text is words that it has had already.</summary>
/// <remarks>
/// Direct-mapped: a stretch has one slot, and the newest stays. A key of up to 15 bytes and its length are 16 bytes, compared at once.
/// Entries are small enough that the common words stay in the processor's second cache.
/// </remarks>
internal sealed class WordCache
{
    private const int SlotBits = 15;
    private const int MaxKeyLength = 15;
    private const int MaxIds = 5;

    private readonly Entry[] _entries = new Entry[1 << SlotBits];

    private struct Entry
    {
        public UInt128 Key;
        public int Count;
        public Ids Ids;
    }

    [InlineArray(MaxIds)]
    private struct Ids
    {
        private int _first;
    }

    /// <summary>Whether a stretch is short enough to be kept at all.</summary>
    public static bool Fits(ReadOnlySpan<byte> text) => text.Length <= MaxKeyLength;

    /// <summary>Appends the ids of a stretch that is in the cache; false if it is not.</summary>
    public bool TryGet(ReadOnlySpan<byte> text, List<int> ids)
    {
        var key = MakeKey(text);
        ref var entry = ref _entries[Slot(key)];
        if (entry.Key != key)
            return false;
        ids.AddRange(((ReadOnlySpan<int>)entry.Ids)[..entry.Count]);
        return true;
    }

    /// <summary>Keeps the ids of a stretch, unless they are too many.</summary>
    public void Add(ReadOnlySpan<byte> text, ReadOnlySpan<int> ids)
    {
        if (ids.Length > MaxIds)
            return;
        var key = MakeKey(text);
        ref var entry = ref _entries[Slot(key)];
        entry.Key = key;
        entry.Count = ids.Length;
        ids.CopyTo(entry.Ids);
    }

    // The length in the last byte: "a" and "a\0" differ, and no key is zero, which marks an empty slot.
    private static UInt128 MakeKey(ReadOnlySpan<byte> text)
    {
        Span<byte> key = stackalloc byte[16];
        key.Clear();
        text.CopyTo(key);
        key[MaxKeyLength] = (byte)text.Length;
        return MemoryMarshal.Read<UInt128>(key);
    }

    private static int Slot(UInt128 key)
    {
        var mixed = ((ulong)key * 0x9E3779B97F4A7C15) ^ ((ulong)(key >> 64) * 0xC2B2AE3D27D4EB4F);
        return (int)((mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9 >> (64 - SlotBits));
    }
}
