// Which characters may be in one piece together.
namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>What a piece is made of, as far as it decides what the piece may be joined with.</summary>
/// <param name="Length">Code points.</param>
/// <param name="Script">The one script of its characters; <see cref="AnyScript"/> where it has spaces and inherited marks only.</param>
/// <param name="Kind">See <see cref="PieceKind"/>.</param>
internal readonly record struct PieceShape(byte Length, byte Script, PieceKind Kind)
{
    public const byte AnyScript = UnicodeScripts.Inherited;

    /// <summary>The shape of what makes no pair.</summary>
    public static PieceShape NeverJoined => new(1, AnyScript, PieceKind.Alone);

    /// <summary>The shape of a character alone.</summary>
    public static PieceShape Of(int character, bool splitDigits)
    {
        if (character == Alphabet.Space)
            return new PieceShape(1, AnyScript, PieceKind.Spaces);
        var isDigit = character is >= '0' and <= '9' or >= 0xFF10 and <= 0xFF19;
        return new PieceShape(1, UnicodeScripts.Of(character), splitDigits && isDigit ? PieceKind.Alone : PieceKind.Text);
    }

    /// <summary>Whether two pieces side by side may become one.</summary>
    /// <remarks>
    /// sentencepiece: at most 16 code points, one script, spaces in front of text singly or else on their own, digits alone. Since both
    /// pieces keep to the rules themselves, what they have in common decides.
    /// </remarks>
    public static bool TryJoin(PieceShape left, PieceShape right, out PieceShape joined)
    {
        var kind = (left.Kind, right.Kind) switch
        {
            (PieceKind.Spaces, PieceKind.Spaces) => PieceKind.Spaces,
            (PieceKind.Spaces, PieceKind.Text) when left.Length == 1 => PieceKind.SpacedText,
            (PieceKind.SpacedText, PieceKind.Text) => PieceKind.SpacedText,
            (PieceKind.Text, PieceKind.Text) => PieceKind.Text,
            _ => PieceKind.Alone,
        };
        joined = new PieceShape((byte)(left.Length + right.Length), left.Script == AnyScript ? right.Script : left.Script, kind);
        return kind != PieceKind.Alone
            && joined.Length <= VocabularyTrainerSettings.MaxPieceCharacters
            && (left.Script == right.Script || left.Script == AnyScript || right.Script == AnyScript);
    }
}

/// <summary>What a piece holds.</summary>
internal enum PieceKind : byte
{
    /// <summary>Never joined: a digit, a character without a piece, the space between words.</summary>
    Alone,

    /// <summary>Spaces and nothing else.</summary>
    Spaces,

    /// <summary>One space and text.</summary>
    SpacedText,

    /// <summary>Text without a space.</summary>
    Text,
}
