using System.Globalization;
using System.Text;

namespace LlamaFullstack.Run;

/// <summary>How many columns of a terminal a text takes: a letter of Chinese, Japanese or Korean and an emoji two, a mark on the letter before it none.</summary>
public static class TextColumns
{
    private const char NoCharacter = '\uFFFD';

    // The blocks of Unicode 16 whose East_Asian_Width is W or F throughout or nearly so, and the emoji; first and last.
    private static readonly (int First, int Last)[] Wide =
    [
        (0x1100, 0x115F), (0x2614, 0x2615), (0x26C4, 0x26C5), (0x2705, 0x2705), (0x2728, 0x2728), (0x274C, 0x274C), (0x2753, 0x2755), (0x2795, 0x2797), (0x2B50, 0x2B50),
        (0x2E80, 0x303E), (0x3041, 0xA4CF), (0xA960, 0xA97C), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFE30, 0xFE6B), (0xFF01, 0xFF60), (0xFFE0, 0xFFE6),
        (0x16FE0, 0x18DFF), (0x1AFF0, 0x1B2FF), (0x1F300, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F7E0, 0x1F7EB), (0x1F900, 0x1F9FF), (0x1FA70, 0x1FAFF), (0x20000, 0x3FFFD),
    ];

    /// <summary>How wide the terminal is; 80 of one that does not know it, as over a serial line.</summary>
    public static int OfTerminal => Console.WindowWidth is > 1 and var columns ? columns : 80;

    /// <summary>A text without control characters but for the ends of lines: on a terminal an escape or a shift would be obeyed.</summary>
    public static string Printable(string text) => string.Concat(text.Select(c => char.IsControl(c) && c != '\n' ? NoCharacter : c));

    /// <summary>As much of a line as fits, and how many columns that takes. Control characters, as a name may have, are shown as unknown ones.</summary>
    public static (string Text, int Columns) Fit(string line, int columns)
    {
        var (text, taken) = (new StringBuilder(line.Length), 0);
        foreach (var rune in line.EnumerateRunes())
        {
            var width = Of(rune);
            if (taken + width > columns)
                break;
            text.Append(Rune.IsControl(rune) ? $"{NoCharacter}" : rune.ToString());
            taken += width;
        }
        return (text.ToString(), taken);
    }

    /// <summary>The columns of a line.</summary>
    public static int Of(string line) => line.EnumerateRunes().Sum(Of);

    /// <summary>A table's rows as lines: each column as wide as its widest cell, numbers at its right.</summary>
    public static IEnumerable<string> Aligned(IEnumerable<string[]> rows)
    {
        var table = rows.ToList();
        int[] widths = [.. Enumerable.Range(0, table.FirstOrDefault()?.Length ?? 0).Select(column => table.Max(row => Of(row[column])))];
        return table.Select(row => string.Join("  ", row.Select((cell, column) =>
        {
            var space = new string(' ', widths[column] - Of(cell));
            return char.IsAsciiDigit(cell.FirstOrDefault()) ? space + cell : cell + space;
        })).TrimEnd());
    }

    private static int Of(Rune rune) =>
        Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format ? 0
        : Wide.Any(block => rune.Value >= block.First && rune.Value <= block.Last) ? 2 : 1;
}
