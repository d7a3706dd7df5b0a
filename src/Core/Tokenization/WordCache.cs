using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>The ids of short stretches of text that have been encoded before: most of any text is words that it has had already.</summary>
/// <remarks>
/// Direct-mapped: a stretch has one slot, and the newest stays. A key of up to 15 bytes and its length are 16 bytes, compared at once.
/// Entries are small enough that the common words stay in the processor's second cache.
/// </remarks>
internal sealed class WordCache
{
    /// <summary>The longest stretch that is kept, in bytes.</summary>
    public const int MaxBytes = 15;

    /// <summary>Ids that <see cref="TryGet"/> writes at once; those after the stretch's own mean nothing.</summary>
    public const int IdsWritten = 8;

    // 48 bytes each: 24 KB for a prompt, whose first touch of a page costs more than its word, and in the end one and a half megabytes.
    private const int FirstBits = 9;
    private const int LastBits = 15;
    private const int MaxIds = 7;

    private Entry[] _entries = new Entry[1 << FirstBits];
    private int _shift = 64 - FirstBits;
    private int _added;

    private struct Entry
    {
        public Vector128<byte> Key;
        public Ids Ids;
        public int Count; // behind the ids, so that eight numbers can be read there
    }

    [InlineArray(MaxIds)]
    private struct Ids
    {
        private int _first;
    }

    /// <summary>The key of a stretch: its bytes, zeros, and its length in the last byte, so that "a" and "a\0" differ and no key is zero.</summary>
    /// <param name="text">16 bytes that begin with the stretch.</param>
    /// <param name="length">The stretch's length, 1 to <see cref="MaxBytes"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Key(Vector128<byte> text, int length)
    {
        var isText = Vector128.LessThan(Vector128<byte>.Indices, Vector128.Create((byte)length));
        return Vector128.ConditionalSelect(isText, text, Vector128.Create(0, (ulong)length << 56).AsByte());
    }

    /// <summary>Writes the ids of a stretch that is in the cache, and its neighbours in memory after them; 0 if it is not.</summary>
    /// <param name="key">The stretch's key.</param>
    /// <param name="ids">Where to; must have room for <see cref="IdsWritten"/>.</param>
    /// <returns>How many ids the stretch has.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int TryGet(Vector128<byte> key, ref int ids)
    {
        ref var entry = ref _entries[Slot(key)];
        if (entry.Key != key)
            return 0;
        Vector256.LoadUnsafe(ref Unsafe.As<Ids, int>(ref entry.Ids)).StoreUnsafe(ref ids);
        return entry.Count;
    }

    /// <summary>Whether a stretch is in the cache.</summary>
    public bool Contains(in Vector128<byte> key) => _entries[Slot(key)].Key == key;

    /// <summary>Keeps the ids of a stretch, unless they are too many.</summary>
    /// <remarks>The key comes by reference: code compiled ahead of time takes no vector by value, and would be compiled at each start.</remarks>
    public void Add(in Vector128<byte> key, ReadOnlySpan<int> ids)
    {
        if (ids.Length > MaxIds)
            return;
        if (++_added > _entries.Length / 2 && _shift > 64 - LastBits)
            Grow();
        ref var entry = ref _entries[Slot(key)];
        entry.Key = key;
        entry.Count = ids.Length;
        ids.CopyTo(entry.Ids);
    }

    private void Grow()
    {
        var old = _entries;
        _entries = new Entry[2 * old.Length];
        _shift--;
        foreach (var entry in old)
            if (entry.Count != 0)
                _entries[Slot(entry.Key)] = entry;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Slot(Vector128<byte> key)
    {
        var mixed = (key.AsUInt64().GetElement(0) * 0x9E3779B97F4A7C15) ^ (key.AsUInt64().GetElement(1) * 0xC2B2AE3D27D4EB4F);
        return (int)((mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9 >> _shift);
    }
}
