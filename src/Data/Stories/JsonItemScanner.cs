// Finds the text of a JSON item without a general JSON reader, where the item looks as most do: docs/LOG.md has what it saves.

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Data.Stories;

/// <summary>Walks over one JSON object of strings, and of arrays and objects of strings, that lies whole in memory.</summary>
/// <remarks>
/// Whatever else an item holds (a number, an escaped name, an error) and whatever is not whole is not taken, and left to System.Text.Json. What is
/// taken, System.Text.Json would take too, and find the same text in.
/// </remarks>
/// <param name="json">Begins where the item, or the white space or the comma before it, does.</param>
internal ref struct JsonItemScanner(ReadOnlySpan<byte> json)
{
    private const int MostNesting = 16;     // System.Text.Json allows 64

    private readonly ReadOnlySpan<byte> _json = json;

    /// <summary>How many bytes are behind, once an item was taken.</summary>
    public int Offset { get; private set; }

    /// <summary>Takes an item.</summary>
    /// <param name="afterItem">Whether it follows another one in an array, and so must have a comma before it.</param>
    /// <param name="column">The name of its text.</param>
    /// <param name="text">The text between its quotation marks; of several, the last.</param>
    /// <returns>False where it is left to System.Text.Json.</returns>
    public bool TryTakeItem(bool afterItem, ReadOnlySpan<byte> column, out ReadOnlySpan<byte> text)
    {
        text = default;
        var hasText = false;
        if (afterItem && !TryTake(',') || !TryTake('{'))
            return false;
        do
        {
            if (!TryTakeName(out var name))
                return false;
            var isText = name.SequenceEqual(column);
            hasText |= isText;
            if (!(isText ? TryTakeString(out text) : TryTakeValue(MostNesting)))
                return false;
        }
        while (TryTake(','));
        return hasText && TryTake('}');
    }

    private bool TryTakeName(out ReadOnlySpan<byte> name) => TryTakeString(out name) && !name.Contains((byte)'\\') && TryTake(':');

    private bool TryTakeValue(int nesting)
    {
        if (nesting == 0)
            return false;
        if (TryTake('['))
        {
            if (TryTake(']'))
                return true;
            do
            {
                if (!TryTakeValue(nesting - 1))
                    return false;
            }
            while (TryTake(','));
            return TryTake(']');
        }
        if (TryTake('{'))
        {
            if (TryTake('}'))
                return true;
            do
            {
                if (!TryTakeName(out _) || !TryTakeValue(nesting - 1))
                    return false;
            }
            while (TryTake(','));
            return TryTake('}');
        }
        return TryTakeString(out _);
    }

    /// <summary>Takes white space, and one sign after it.</summary>
    private bool TryTake(char sign)
    {
        var at = Offset;
        while (at < _json.Length && _json[at] is (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t')
            at++;
        if (at == _json.Length || _json[at] != sign)
            return false;
        Offset = at + 1;
        return true;
    }

    /// <summary>Takes a string whose escapes are valid; 32 bytes at a time, since where it ends cannot be foreseen.</summary>
    private bool TryTakeString(out ReadOnlySpan<byte> text)
    {
        text = default;
        if (!TryTake('"'))
            return false;
        ref var first = ref MemoryMarshal.GetReference(_json);
        for (var at = Offset; _json.Length - at >= Vector256<byte>.Count;)
        {
            var ends = EndsOfPlainText(Vector256.LoadUnsafe(ref first, (nuint)at));
            if (ends == 0)
            {
                at += Vector256<byte>.Count;
                continue;
            }
            at += BitOperations.TrailingZeroCount(ends);
            if (_json[at] == '"')
            {
                text = _json[Offset..at];
                Offset = at + 1;
                return true;
            }
            var escape = EscapeLength(_json[at..]);
            if (escape == 0)
                return false;
            at += escape;
        }
        return false;
    }

    // A bit for each quotation mark, backslash and control character.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint EndsOfPlainText(Vector256<byte> bytes) =>
        (Vector256.Equals(bytes, Vector256.Create((byte)'"')) | Vector256.Equals(bytes, Vector256.Create((byte)'\\'))
            | Vector256.LessThan(bytes, Vector256.Create((byte)' '))).ExtractMostSignificantBits();

    // Bytes of the escape that a text begins with; 0 if it begins with none, or is not whole.
    private static int EscapeLength(ReadOnlySpan<byte> text)
    {
        if (text.Length < 6 || text[0] != '\\')
            return 0;
        if (text[1] != 'u')
            return "\"\\/bfnrt"u8.Contains(text[1]) ? 2 : 0;
        foreach (var digit in text[2..6])
            if (!char.IsAsciiHexDigit((char)digit))
                return 0;
        return 6;
    }
}
