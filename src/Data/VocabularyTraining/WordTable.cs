// Counts of distinct words. It does not know what a word is: its keys are bytes.
using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>A hash table from byte strings to counts, made for hundreds of millions of additions to a few million short keys.</summary>
/// <remarks>
/// Open addressing over flat slots of 24 bytes. A key of up to 15 bytes lies in its slot with its length in the last byte, so that finding
/// it costs one cache line and one 16-byte comparison. A longer key lies in a page beside the table; its slot holds its hash and place.
/// </remarks>
internal sealed class WordTable
{
    /// <summary>Bytes after a word that <see cref="AddWords"/> reads; what they are does not matter.</summary>
    public const int ReadableAfterWord = 16;

    private const int InlineBytes = 15;
    private const int FirstBits = 10;
    private const int LargestFastTable = 1 << 16;
    private const int PageBits = 20;
    private const int PageBytes = 1 << PageBits;
    private const int TagShift = 56;
    private const byte LongKey = 0xFF; // where an inline key has its length and 1, so that no key is all zeros as an empty slot is

    private readonly List<byte[]> _pages = [];
    private int _pageUsed = PageBytes;
    private Slot[] _slots = new Slot[1 << FirstBits];
    private int _shift = 64 - FirstBits; // the highest bits of a hash are the slot that a key is looked for first

    /// <summary>Number of distinct keys.</summary>
    public int Count { get; private set; }

    /// <summary>Number of slots: every key is found at one of the indices below it.</summary>
    public int Capacity => _slots.Length;

    /// <summary>The count in a slot; 0 where the slot is empty.</summary>
    public long CountAt(int slot) => _slots[slot].Count;

    /// <summary>The key in a slot that is not empty; valid until the next addition.</summary>
    public ReadOnlySpan<byte> KeyAt(int slot)
    {
        ref var entry = ref _slots[slot];
        return entry.Tag == LongKey ? InPages(entry.High) : MemoryMarshal.AsBytes(MemoryMarshal.CreateReadOnlySpan(ref entry.Low, 2))[..(entry.Tag - 1)];
    }

    /// <summary>Adds to the count of a key.</summary>
    public void Add(ReadOnlySpan<byte> key, long count)
    {
        if (key.Length > InlineBytes)
        {
            AddLong(key, count);
            return;
        }
        Span<byte> inline = stackalloc byte[InlineBytes + 1];
        inline.Clear();
        key.CopyTo(inline);
        AddInline(
            BinaryPrimitives.ReadUInt64LittleEndian(inline),
            BinaryPrimitives.ReadUInt64LittleEndian(inline[sizeof(ulong)..]) | (TagOf(key.Length) << TagShift),
            count);
    }

    /// <summary>Adds 1 to the count of each of the words that end in a stretch of text.</summary>
    /// <param name="text">The stretch; <see cref="ReadableAfterWord"/> bytes must be readable from the end of each word on.</param>
    /// <param name="start">Where the first word starts, before the stretch if that is below 0; each of the others starts behind the end of the one before.</param>
    /// <param name="ends">A bit for the end of each word; at least one.</param>
    /// <returns>Where the next word starts.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)] // as its caller
    public int AddWords(ref readonly byte text, int start, ulong ends)
    {
        ref var first = ref Unsafe.AsRef(in text);
        do
        {
            var end = BitOperations.TrailingZeroCount(ends);
            ref var word = ref Unsafe.Add(ref first, start);
            var length = end - start;
            if (length <= InlineBytes)
            {
                var key = (Vector128.LoadUnsafe(ref word) & Vector128.LessThan(Vector128<byte>.Indices, Vector128.Create((byte)length))).AsUInt64();
                AddInline(key[0], key[1] | (TagOf(length) << TagShift), 1);
            }
            else
            {
                AddLong(MemoryMarshal.CreateReadOnlySpan(ref word, length), 1);
            }
            start = end + 1;
            ends &= ends - 1;
        }
        while (ends != 0);
        return start;
    }

    /// <summary>Adds every count of another table to this one.</summary>
    public void Add(WordTable other)
    {
        for (var slot = 0; slot < other.Capacity; slot++)
            if (other.CountAt(slot) != 0)
                Add(other.KeyAt(slot), other.CountAt(slot));
    }

    // Nearly every word of a text is frequent, and so lies where it is looked for first: that is all that each word is made to wait for.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void AddInline(ulong low, ulong high, long count)
    {
        var slots = _slots;
        ref var first = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(slots), (nuint)(Hash(low, high) >> _shift));
        if (((first.Low ^ low) | (first.High ^ high)) == 0)
            first.Count += count;
        else
            AddBehind(low, high, count);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void AddBehind(ulong low, ulong high, long count)
    {
        var mask = _slots.Length - 1;
        var first = (int)(Hash(low, high) >> _shift);
        for (var at = first; ; at = (at + 1) & mask)
        {
            ref var entry = ref _slots[at];
            if (entry.Low == low && entry.High == high)
            {
                entry.Count += count;
                // The more frequent of two gets the slot where it is looked for first; the other one is still found behind its own.
                if (entry.Count > _slots[first].Count)
                    (entry, _slots[first]) = (_slots[first], entry);
                return;
            }
            if (entry.High == 0)
            {
                entry = new Slot { Low = low, High = high, Count = count };
                GrowWhenFull();
                return;
            }
        }
    }

    private void AddLong(ReadOnlySpan<byte> key, long count)
    {
        var hash = HashOf(key);
        var mask = _slots.Length - 1;
        for (var at = (int)(Hash(hash, LongKey) >> _shift); ; at = (at + 1) & mask)
        {
            ref var entry = ref _slots[at];
            if (entry.Low == hash && entry.Tag == LongKey && InPages(entry.High).SequenceEqual(key))
            {
                entry.Count += count;
                return;
            }
            if (entry.High == 0)
            {
                entry = new Slot { Low = hash, High = Keep(key) | ((ulong)LongKey << TagShift), Count = count };
                GrowWhenFull();
                return;
            }
        }
    }

    // A table that fits the processor's caches is at most half full, so that a search looks at 1.5 slots on average; a larger one, of which memory
    // is what counts, three quarters, and 2.5 slots.
    private void GrowWhenFull()
    {
        Count++;
        if (_slots.Length <= LargestFastTable ? Count * 2 <= _slots.Length : Count * 4L <= _slots.Length * 3L)
            return;
        var old = _slots;
        _slots = new Slot[checked(old.Length * 2)];
        _shift--;
        foreach (var entry in old)
            if (entry.High != 0)
                Put(entry);
    }

    private void Put(Slot entry)
    {
        var mask = _slots.Length - 1;
        var at = (int)(Hash(entry.Low, entry.Tag == LongKey ? LongKey : entry.High) >> _shift);
        while (_slots[at].High != 0)
            at = (at + 1) & mask;
        _slots[at] = entry;
    }

    // A long key lies in a page as its length (4 bytes) and its bytes; its place is page << PageBits | offset. A page is never moved.
    private ulong Keep(ReadOnlySpan<byte> key)
    {
        var bytes = sizeof(int) + key.Length;
        if (_pageUsed + bytes > PageBytes)
        {
            _pages.Add(new byte[PageBytes]);
            _pageUsed = 0;
        }
        var place = ((ulong)(_pages.Count - 1) << PageBits) | (uint)_pageUsed;
        var target = _pages[^1].AsSpan(_pageUsed, bytes);
        BinaryPrimitives.WriteInt32LittleEndian(target, key.Length);
        key.CopyTo(target[sizeof(int)..]);
        _pageUsed += bytes;
        return place;
    }

    private ReadOnlySpan<byte> InPages(ulong place)
    {
        var page = _pages[(int)(place >> PageBits) & 0xFFFFFFF].AsSpan((int)place & (PageBytes - 1));
        return page.Slice(sizeof(int), BinaryPrimitives.ReadInt32LittleEndian(page));
    }

    private static ulong HashOf(ReadOnlySpan<byte> key)
    {
        var hash = (ulong)key.Length;
        for (; key.Length >= sizeof(ulong); key = key[sizeof(ulong)..])
            hash = Mix(hash, BinaryPrimitives.ReadUInt64LittleEndian(key));
        foreach (var rest in key)
            hash = Mix(hash, rest);
        return hash;
    }

    // The two halves of a 128-bit product, folded.
    private static ulong Mix(ulong a, ulong b)
    {
        var high = Math.BigMul(a ^ 0x9E3779B97F4A7C15, b ^ 0xD1B54A32D192ED03, out var low);
        return high ^ low;
    }

    // All bits of a key meet in the highest ones of its products with odd numbers: two multiplications side by side.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Hash(ulong low, ulong high) => (low * 0x9E3779B97F4A7C15) ^ (high * 0xC2B2AE3D27D4EB4F);

    private static ulong TagOf(int length) => (ulong)length + 1;

    private struct Slot
    {
        public ulong Low; // the first 8 bytes of an inline key, or the hash of a long one
        public ulong High; // its next 7 bytes, or the long key's place; the highest byte is its tag; 0 where the slot is empty
        public long Count;

        public readonly byte Tag => (byte)(High >> TagShift);
    }
}
