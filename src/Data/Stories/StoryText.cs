// What counts as the text of a story: whitespace around it does not, what is inside it stays as it is.

using System.Text;

namespace LlamaFullstack.Data.Stories;

/// <summary>The text of a story as UTF-8.</summary>
public static class StoryText
{
    /// <summary>The text without whitespace at its ends, as Python's <c>str.strip()</c> leaves it.</summary>
    /// <param name="utf8">Valid UTF-8.</param>
    /// <remarks>
    /// Python's whitespace is Unicode's and also the four separators U+001C to U+001F, which .NET does not count.
    /// </remarks>
    public static ReadOnlyMemory<byte> Strip(ReadOnlyMemory<byte> utf8)
    {
        var text = utf8.Span;
        var (start, end) = (0, text.Length);
        while (start < end && IsSpace(Rune.DecodeFromUtf8(text[start..end], out var rune, out var length), rune))
            start += length;
        while (start < end && IsSpace(Rune.DecodeLastFromUtf8(text[start..end], out var rune, out var length), rune))
            end -= length;
        return utf8[start..end];
    }

    private static bool IsSpace(System.Buffers.OperationStatus status, Rune rune) =>
        status == System.Buffers.OperationStatus.Done && (Rune.IsWhiteSpace(rune) || rune.Value is >= 0x1C and <= 0x1F);
}
