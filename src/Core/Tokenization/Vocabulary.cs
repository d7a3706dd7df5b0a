using System.Text;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>What a piece is for; the values are sentencepiece's.</summary>
public enum PieceType
{
    /// <summary>Text.</summary>
    Normal = 1,

    /// <summary>Stands for text that no other piece covers.</summary>
    Unknown = 2,

    /// <summary>A mark such as the beginning of a sequence; never part of text.</summary>
    Control = 3,

    /// <summary>Text that is never split.</summary>
    UserDefined = 4,

    /// <summary>Kept in place but never used.</summary>
    Unused = 5,

    /// <summary>One byte, written &lt;0x00&gt; to &lt;0xFF&gt;.</summary>
    Byte = 6,
}

/// <summary>One piece of a vocabulary.</summary>
/// <param name="Text">The piece in UTF-8, a space written as a space (not as U+2581).</param>
/// <param name="Score">The higher, the earlier it is merged.</param>
/// <param name="Type">What it is for.</param>
public readonly record struct Piece(ReadOnlyMemory<byte> Text, float Score, PieceType Type)
{
    /// <summary>The piece as a string, for people.</summary>
    public override string ToString() => Encoding.UTF8.GetString(Text.Span);
}

/// <summary>The pieces of a tokenizer by id, and the rules that text is prepared by.</summary>
public sealed record Vocabulary
{
    /// <summary>U+2581, sentencepiece's mark for a space in pieces and in files.</summary>
    public const char SpaceSymbol = '\u2581';

    /// <summary>Id of the unknown piece in every Llama 2 vocabulary.</summary>
    public const int Unk = 0;

    /// <summary>Id that begins a sequence.</summary>
    public const int Bos = 1;

    /// <summary>Id that ends a sequence.</summary>
    public const int Eos = 2;

    /// <summary>Id of the byte 0; the other bytes follow.</summary>
    public const int FirstByte = 3;

    /// <summary>The first id after the three marks and the 256 bytes.</summary>
    public const int FirstText = FirstByte + 256;

    /// <summary>Pieces; the index is the id.</summary>
    public required IReadOnlyList<Piece> Pieces
    {
        get => List;
        init => List = value as PieceList ?? PieceList.Of(value);
    }

    /// <summary>The same pieces, for who looks at all of them.</summary>
    internal PieceList List { get; private init; } = null!; // set with the pieces, which are required

    /// <summary>Whether text is given one space in front, so that its first word is encoded like any other.</summary>
    public bool AddDummyPrefix { get; init; } = true;

    /// <summary>Whether spaces at both ends are dropped and runs of spaces become one. Sentencepiece's default, but not Llama 2's.</summary>
    public bool RemoveExtraWhitespaces { get; init; }

    /// <summary>Number of pieces.</summary>
    public int Count => List.Count;

    /// <summary>Throws unless the vocabulary has the bytes where every Llama 2 vocabulary has them, so that any text can be encoded.</summary>
    /// <param name="where">The file that it came from; begins the message.</param>
    /// <exception cref="InvalidDataException">The bytes are missing.</exception>
    public Vocabulary Validated(string where)
    {
        for (var value = 0; value < 256; value++)
        {
            var id = FirstByte + value;
            if (id >= Count || !Tokenizer.TryParseByte(List.Text(id), out var found) || found != value)
                throw new InvalidDataException(
                    $"{where}: not a Llama tokenizer: token {id} must be the byte <0x{value:X2}>{(id < Count ? $", not {PlainText.Quote($"{Pieces[id]}")}" : $", but there are only {Count} tokens")}.");
        }
        return this;
    }
}
