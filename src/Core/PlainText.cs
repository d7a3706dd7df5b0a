using System.Globalization;
using System.Text;
using System.Text.Json;

namespace LlamaFullstack.Core;

/// <summary>Text of a foreign file, made fit for one line of a message: control and invisible characters become \uXXXX.</summary>
public static class PlainText
{
    private const int MaxLength = 80;

    /// <summary>The text in quotes, no longer than a person reads.</summary>
    public static string Quote(string text) => text.Length > MaxLength ? $"'{Escape(text.AsSpan(0, MaxLength))}…'" : $"'{Escape(text)}'";

    /// <summary>What another library says of a file, and may quote from it: its first line without the full stop. Of JSON, the line counts from 1, as in an editor.</summary>
    public static string Quote(Exception error)
    {
        var reason = error.Message.Split('\n')[0];
        return error is JsonException { LineNumber: { } line }
            ? $"{Escape(reason.Split(" Path: ")[0].Split(" LineNumber: ")[0].TrimEnd('.'))}, in line {line + 1}"
            : Escape(reason.TrimEnd('.', '\r'));
    }

    private static string Escape(ReadOnlySpan<char> text)
    {
        var escaped = new StringBuilder(text.Length);
        foreach (var c in text)
        {
            if (char.IsControl(c) || char.IsSurrogate(c) || char.GetUnicodeCategory(c) == UnicodeCategory.Format || c is '\u2028' or '\u2029')
                escaped.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                escaped.Append(c);
        }
        return escaped.ToString();
    }
}
