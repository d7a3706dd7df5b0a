// Text → words and how often each occurs: all that training needs to know of a text, whatever its size.
using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text;
using System.Text.Unicode;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>The distinct words of a text and how often each occurs.</summary>
/// <remarks>
/// <para>
/// The rules are sentencepiece's. A line ends at a newline or at the end of a text. A line that is empty, longer than
/// <see cref="VocabularyTrainerSettings.MaxLineBytes"/> or that contains U+2585 is skipped. A byte that is not UTF-8 counts as U+FFFD; U+2581
/// is a space; text that spells a mark or a byte piece (&lt;s&gt;, &lt;0x0A&gt; …) is a tab, over which nothing merges.
/// </para>
/// <para>A word is a run of spaces and what follows it up to the next space; each line has one more space in front.</para>
/// <para>
/// Not safe for several threads: give each its own, and add them up; the order does not matter. Memory grows with the distinct words.
/// </para>
/// </remarks>
/// <param name="removeExtraWhitespaces">See <see cref="VocabularyTrainerSettings.RemoveExtraWhitespaces"/>.</param>
public sealed class WordCounts(bool removeExtraWhitespaces = true)
{
    private byte[] _rewritten = new byte[1 << 12];

    /// <summary>Bytes of text that were added.</summary>
    public long Bytes { get; private set; }

    /// <summary>Lines that were counted.</summary>
    public long Lines { get; private set; }

    /// <summary>Lines that were skipped because they are longer than <see cref="VocabularyTrainerSettings.MaxLineBytes"/>.</summary>
    public long LongLines { get; private set; }

    /// <summary>Lines that were skipped because they contain U+2585, which sentencepiece keeps for itself.</summary>
    public long ReservedLines { get; private set; }

    /// <summary>Number of distinct words.</summary>
    public int DistinctWords => Table.Count;

    /// <summary>The words without their first space, which every word has; any other space of theirs is a space here.</summary>
    internal WordTable Table { get; } = new();

    internal bool RemoveExtraWhitespaces { get; } = removeExtraWhitespaces;

    /// <summary>Counts the words of a text, a document for example, whose end is the end of a line.</summary>
    public void Add(ReadOnlySpan<byte> utf8Text)
    {
        Bytes += utf8Text.Length;
        var isPlain = Ascii.IsValid(utf8Text) && !utf8Text.Contains((byte)'<');
        while (!utf8Text.IsEmpty)
        {
            var end = utf8Text.IndexOf((byte)'\n');
            AddLine(utf8Text, end < 0 ? utf8Text.Length : end, isPlain);
            utf8Text = end < 0 ? default : utf8Text[(end + 1)..];
        }
    }

    /// <summary>Adds what was counted elsewhere, by another thread for example.</summary>
    /// <exception cref="ArgumentException">The other counts were made with the other rule for spaces.</exception>
    public void Add(WordCounts other)
    {
        if (other.RemoveExtraWhitespaces != RemoveExtraWhitespaces)
            throw new ArgumentException("Words counted with and without remove_extra_whitespaces cannot be added up.", nameof(other));
        Table.Add(other.Table);
        Bytes += other.Bytes;
        Lines += other.Lines;
        LongLines += other.LongLines;
        ReservedLines += other.ReservedLines;
    }

    // The line is so many bytes of a text; isPlain says that it is known to be.
    private void AddLine(ReadOnlySpan<byte> text, int length, bool isPlain)
    {
        var line = text[..length];
        if (line.IsEmpty)
            return;
        if (line.Length > VocabularyTrainerSettings.MaxLineBytes)
        {
            LongLines++;
            return;
        }
        if (!isPlain && line.IndexOf("\u2585"u8) >= 0)
        {
            ReservedLines++;
            return;
        }
        Lines++;
        if (isPlain || IsPlain(line))
            AddWords(text, length, RemoveExtraWhitespaces);
        else
            AddRewritten(line);
    }

    // Whether the line's bytes are those of its words already, which holds for nearly every line.
    private static bool IsPlain(ReadOnlySpan<byte> line)
    {
        if (!Utf8.IsValid(line))
            return false;
        for (var at = line.IndexOfAny((byte)'<', (byte)0xE2); at >= 0;)
        {
            if (MetaPieceLength(line[at..]) > 0 || line[at..].StartsWith("\u2581"u8))
                return false;
            var next = line[(at + 1)..].IndexOfAny((byte)'<', (byte)0xE2);
            at = next < 0 ? -1 : at + 1 + next;
        }
        return true;
    }

    // Writes the line as sentencepiece normalises it (only the space in front is left out), then counts that.
    private void AddRewritten(ReadOnlySpan<byte> line)
    {
        if (_rewritten.Length < line.Length * 3) // a bad byte becomes the three of U+FFFD
            _rewritten = new byte[line.Length * 3];
        var length = 0;
        var afterSpace = RemoveExtraWhitespaces;
        while (!line.IsEmpty)
        {
            var written = Next(line, out var read);
            var isSpace = line[0] == ' ';
            if (!isSpace || !afterSpace || !RemoveExtraWhitespaces)
            {
                written.CopyTo(_rewritten.AsSpan(length));
                length += written.Length;
            }
            afterSpace = isSpace;
            line = line[read..];
        }
        var rewritten = _rewritten.AsSpan(0, length);
        if (RemoveExtraWhitespaces)
            rewritten = rewritten.TrimEnd((byte)' ');
        if (!rewritten.IsEmpty)
            AddWords(_rewritten, rewritten.Length, skipSpaces: false);
    }

    // What the text's first character becomes, and how many bytes it is.
    private static ReadOnlySpan<byte> Next(ReadOnlySpan<byte> text, out int read)
    {
        read = MetaPieceLength(text);
        if (read > 0)
            return "\t"u8;
        if (text.StartsWith("\u2581"u8))
        {
            read = 3;
            return " "u8;
        }
        if (Rune.DecodeFromUtf8(text, out _, out read) == OperationStatus.Done)
            return text[..read];
        read = 1; // one U+FFFD for each bad byte, where .NET has one for a whole cut sequence
        return "\uFFFD"u8;
    }

    // The length of the mark or byte piece that a text begins with: <unk>, <s>, </s>, <0x00> to <0xFF>; 0 if none.
    private static int MetaPieceLength(ReadOnlySpan<byte> text)
    {
        if (text.StartsWith("<s>"u8))
            return 3;
        if (text.StartsWith("</s>"u8))
            return 4;
        if (text.StartsWith("<unk>"u8))
            return 5;
        return text.Length >= 6 && text.StartsWith("<0x"u8) && IsHex(text[3]) && IsHex(text[4]) && text[5] == '>' ? 6 : 0;

        static bool IsHex(byte digit) => digit is >= (byte)'0' and <= (byte)'9' or >= (byte)'A' and <= (byte)'F';
    }

    // The words of a line, which is so many bytes of a text. 64 bytes at a time: where a word ends cannot be foreseen, so there is no branch on
    // each byte, and the next word does not wait until the end of this one is found.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)] // most of the time goes here; what tiering does first is slow for a while
    private void AddWords(ReadOnlySpan<byte> text, int length, bool skipSpaces)
    {
        var start = 0;
        var afterSpace = 1ul;   // the one in front of the line
        for (var block = 0; block < length; block += Vector512<byte>.Count)
        {
            var spaces = Spaces(text, block) & Bits(length - block);
            var second = spaces & ((spaces << 1) | afterSpace);
            var ends = spaces & ~second;
            afterSpace = spaces >> (Vector512<byte>.Count - 1);
            if (second == 0 || !skipSpaces)
            {
                var quick = ends & Bits(text.Length - WordTable.ReadableAfterWord - block);
                if (quick != 0)
                    start = block + Table.AddWords(in text[block], start - block, quick);
                ends ^= quick;
            }
            for (; ends != 0; ends &= ends - 1)
            {
                var end = block + BitOperations.TrailingZeroCount(ends);
                if (skipSpaces)
                    start = SkipSpaces(text, start, end);
                Table.Add(text[start..end], 1);
                start = end + 1;
            }
            if (second != 0 && skipSpaces)
                start = SkipSpaces(text, start, Math.Min(block + Vector512<byte>.Count, length));
        }
        if (!skipSpaces || start < length)
            Table.Add(text[start..length], 1);
    }

    // The lowest bits, so many; none where it is none or less.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Bits(int count) => count >= 64 ? ulong.MaxValue : count <= 0 ? 0 : (1ul << count) - 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int SkipSpaces(ReadOnlySpan<byte> text, int start, int end)
    {
        while (start < end && text[start] == ' ')
            start++;
        return start;
    }

    // A bit for each space among the 64 bytes at a place; where fewer are left, 0 for those beyond.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Spaces(ReadOnlySpan<byte> text, int at)
    {
        var last = text.Length - Vector512<byte>.Count;
        if (at <= last)
            return SpacesAt(text, at);
        if (last >= 0)
            return SpacesAt(text, last) >> (at - last);
        var spaces = 0ul;
        for (var i = at; i < text.Length; i++)
            spaces |= (text[i] == ' ' ? 1ul : 0) << (i - at);
        return spaces;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong SpacesAt(ReadOnlySpan<byte> text, int at) =>
        Vector512.Equals(Vector512.LoadUnsafe(ref MemoryMarshal.GetReference(text), (nuint)at), Vector512.Create((byte)' ')).ExtractMostSignificantBits();
}
