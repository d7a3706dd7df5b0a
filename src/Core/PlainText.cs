using System.Text;

namespace LlamaFullstack.Core;

/// <summary>Text of a foreign file, made fit for one line of a message.</summary>
public static class PlainText
{
    private const int MaxLength = 80;

    /// <summary>The text in quotes: control and invisible characters as \uXXXX, and no longer than a person reads.</summary>
    public static string Quote(string text)
    {
        var quoted = new StringBuilder("'");
        foreach (var c in text.AsSpan(0, Math.Min(text.Length, MaxLength)))
        {
            if (char.IsControl(c) || char.IsSurrogate(c) || char.GetUnicodeCategory(c) == System.Globalization.UnicodeCategory.Format || c is '\u2028' or '\u2029')
                quoted.Append(System.Globalization.CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                quoted.Append(c);
        }
        return quoted.Append(text.Length > MaxLength ? "…'" : "'").ToString();
    }
}
