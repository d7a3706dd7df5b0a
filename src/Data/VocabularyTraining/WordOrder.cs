// The order in which sentencepiece walks through the words.
using System.Buffers.Binary;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>Words by (count descending, text ascending).</summary>
/// <remarks>
/// It does not change how often anything occurs, but decides which of two pairs with the same text came first, and makes the result
/// independent of the hash table and of the threads that filled it.
/// </remarks>
internal static class WordOrder
{
    /// <summary>The slots of a table's words, in order.</summary>
    public static int[] Of(WordTable words)
    {
        var keys = new Key[words.Count];
        var next = 0;
        for (var slot = 0; slot < words.Capacity; slot++)
            if (words.CountAt(slot) != 0)
                keys[next++] = new Key(words.CountAt(slot), Prefix(words.KeyAt(slot)), slot);
        Array.Sort(keys, (a, b) =>
        {
            if (a.Count != b.Count)
                return b.Count.CompareTo(a.Count);
            return a.Prefix != b.Prefix ? a.Prefix.CompareTo(b.Prefix) : CompareText(words.KeyAt(a.Slot), words.KeyAt(b.Slot));
        });
        return Array.ConvertAll(keys, key => key.Slot);
    }

    // The first 8 bytes as a number that sorts like them; 0 where a space, which sorts as U+2581, leaves it to CompareText.
    private static ulong Prefix(ReadOnlySpan<byte> key)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        bytes.Clear();
        key[..Math.Min(key.Length, bytes.Length)].CopyTo(bytes);
        return BinaryPrimitives.ReadUInt64BigEndian(bytes);
    }

    private static int CompareText(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var left = new WordCharacters(a);
        var right = new WordCharacters(b);
        while (left.MoveNext())
        {
            if (!right.MoveNext())
                return 1;
            if (left.Current != right.Current)
                return left.Current.CompareTo(right.Current);
        }
        return right.MoveNext() ? -1 : 0;
    }

    private readonly record struct Key(long Count, ulong Prefix, int Slot);
}
