using System.Globalization;
using System.Text;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>Text to token ids and back: sentencepiece's byte pair encoding, with llama2.c's results.</summary>
/// <remarks>
/// Encoding splits the text into characters, then merges the adjacent pair whose union is the piece with the best score,
/// leftmost on ties, until no union is a piece. A character that is no piece becomes its bytes.
/// Cost: O(n log n) for a text of n bytes at most (llama2.c's run is O(n²)), and near to n for usual text: it is cut into words where that
/// cannot change a result, and the words that were met before are remembered.
/// Safe for use by several threads at once.
/// </remarks>
public sealed class Tokenizer
{
    private static readonly byte[] SpaceSymbol = [0xE2, 0x96, 0x81]; // U+2581, sentencepiece's mark for a space

    private static readonly byte[] Bytes = AllBytes();

    private readonly Lazy<PieceTable> _table; // made for the first text: a run without a prompt has none
    private readonly Lazy<JoinTable> _joins;
    private readonly Stack<Encoder> _idle = new(); // encoders that no thread uses now

    /// <summary>Prepares a vocabulary for use.</summary>
    /// <exception cref="InvalidDataException">The bytes are not where every Llama 2 vocabulary has them.</exception>
    public Tokenizer(Vocabulary vocabulary)
    {
        Vocabulary = vocabulary.Validated("vocabulary");
        _table = new(() => new PieceTable(vocabulary.List));
        _joins = new(() => new JoinTable(vocabulary.List));
    }

    /// <summary>The pieces and the rules of this tokenizer.</summary>
    public Vocabulary Vocabulary { get; }

    /// <summary>Number of token ids.</summary>
    public int VocabSize => Vocabulary.Count;

    /// <summary>Reads a byte piece's text, "&lt;0x00&gt;" to "&lt;0xFF&gt;". Nothing else is one ("&lt;0x-1&gt;" is not).</summary>
    public static bool TryParseByte(ReadOnlySpan<byte> text, out byte value)
    {
        value = 0;
        return text.Length == 6 && text[..3].SequenceEqual("<0x"u8) && text[5] == (byte)'>'
            && char.IsAsciiHexDigit((char)text[3]) && char.IsAsciiHexDigit((char)text[4])
            && byte.TryParse(text.Slice(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }

    /// <summary>Encodes text. An unpaired surrogate is encoded as U+FFFD, as everywhere in .NET.</summary>
    /// <param name="text">The text.</param>
    /// <param name="bos">Whether to begin with <see cref="Vocabulary.Bos"/>.</param>
    /// <param name="eos">Whether to end with <see cref="Vocabulary.Eos"/>.</param>
    public int[] Encode(string text, bool bos = false, bool eos = false)
    {
        var ids = new List<int>();
        if (bos)
            ids.Add(Vocabulary.Bos);
        Encode(Encoding.UTF8.GetBytes(text), ids);
        if (eos)
            ids.Add(Vocabulary.Eos);
        return [.. ids];
    }

    /// <summary>Encodes UTF-8 text, without marks, onto the end of a list. A byte that is not UTF-8 becomes its byte piece.</summary>
    public void Encode(ReadOnlySpan<byte> text, List<int> ids)
    {
        if (text.IsEmpty)
            return;
        var encoder = Take();
        var prepared = encoder.Buffer(text.Length + 1);
        encoder.Encode(prepared[..Prepare(text, prepared)], ids);
        lock (_idle)
            _idle.Push(encoder);
    }

    private Encoder Take()
    {
        lock (_idle)
            if (_idle.TryPop(out var encoder))
                return encoder;
        return new Encoder(_table.Value, _joins.Value);
    }

    /// <summary>The bytes that a token adds to the text, given the token before it.</summary>
    /// <param name="previous">The token before: after <see cref="Vocabulary.Bos"/> the dummy prefix, one space, is dropped.</param>
    /// <param name="token">The token.</param>
    /// <returns>A view that needs no allocation; maybe part of a UTF-8 character (see <see cref="Utf8Stream"/>); empty for a mark.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The token is not in the vocabulary.</exception>
    public ReadOnlySpan<byte> Decode(int previous, int token)
    {
        if ((uint)token >= (uint)VocabSize)
            throw new ArgumentOutOfRangeException(nameof(token), $"token {token} is not in a vocabulary of {VocabSize}.");
        var type = Vocabulary.List.Type(token);
        if (type == PieceType.Control)
            return default;
        var text = Vocabulary.List.Text(token);
        if (type == PieceType.Byte && TryParseByte(text, out var value))
            return Bytes.AsSpan(value, 1);
        var dropsPrefix = previous == Vocabulary.Bos && Vocabulary.AddDummyPrefix;
        return dropsPrefix && text.Length > 0 && text[0] == (byte)' ' ? text[1..] : text;
    }

    /// <summary>The text of a sequence, with or without <see cref="Vocabulary.Bos"/> in front. Bytes that are not UTF-8 become U+FFFD.</summary>
    public string Decode(ReadOnlySpan<int> ids)
    {
        var bytes = new List<byte>(ids.Length * 4);
        var previous = Vocabulary.Bos;
        foreach (var id in ids)
        {
            bytes.AddRange(Decode(previous, id));
            previous = id;
        }
        return Encoding.UTF8.GetString([.. bytes]);
    }

    private static byte[] AllBytes()
    {
        var bytes = new byte[256];
        for (var value = 0; value < bytes.Length; value++)
            bytes[value] = (byte)value;
        return bytes;
    }

    /// <summary>Text as it is merged: extra spaces removed where the vocabulary says so, the dummy prefix added, U+2581 read as a space.</summary>
    /// <param name="text">The text.</param>
    /// <param name="prepared">Receives it; one byte longer than the text at most.</param>
    /// <returns>Bytes written.</returns>
    private int Prepare(ReadOnlySpan<byte> text, Span<byte> prepared)
    {
        if (Vocabulary.RemoveExtraWhitespaces)
            text = text.TrimStart((byte)' ');
        if (text.IsEmpty)
            return 0;

        var length = 0;
        if (Vocabulary.AddDummyPrefix)
            prepared[length++] = (byte)' ';
        var isPlain = text.IndexOf(SpaceSymbol) < 0 && !(Vocabulary.RemoveExtraWhitespaces && text.IndexOf("  "u8) >= 0);
        if (isPlain)
        {
            text.CopyTo(prepared[length..]);
            length += text.Length;
        }
        else
        {
            length += Rewrite(text, prepared[length..]);
        }
        if (Vocabulary.RemoveExtraWhitespaces)
            length = prepared[..length].TrimEnd((byte)' ').Length;
        return length;
    }

    private int Rewrite(ReadOnlySpan<byte> text, Span<byte> prepared)
    {
        var length = 0;
        var dropSpace = false;
        for (var i = 0; i < text.Length; i++)
        {
            var b = text[i];
            if (b == (byte)' ' && dropSpace)
                continue;
            dropSpace = b == (byte)' ' && Vocabulary.RemoveExtraWhitespaces;
            if (b == SpaceSymbol[0] && text[i..].StartsWith(SpaceSymbol))
            {
                b = (byte)' ';
                i += SpaceSymbol.Length - 1;
            }
            prepared[length++] = b;
        }
        return length;
    }
}
