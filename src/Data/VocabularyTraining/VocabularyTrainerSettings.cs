namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>What to train; the defaults are those of llama2.c's train_vocab.</summary>
/// <remarks>
/// Always on, as in llama2.c and in Meta's own tokenizer: a piece for each of the 256 bytes, pieces of spaces alone, no change of
/// characters (sentencepiece's "identity" normalisation), one space put before each line.
/// </remarks>
public sealed record VocabularyTrainerSettings
{
    /// <summary>Longest line, in bytes of UTF-8, that is looked at; longer ones are skipped and counted.</summary>
    public const int MaxLineBytes = 4192;

    /// <summary>Longest piece, in code points.</summary>
    public const int MaxPieceCharacters = 16;

    private readonly float _characterCoverage = 1;

    /// <summary>Pieces in all: 3 marks, 256 bytes, the learned pieces and the characters of the text.</summary>
    public required int VocabSize { get; init; }

    /// <summary>Share of the text's characters that get a piece of their own, the most frequent first; the others become bytes. 0.98 to 1.</summary>
    /// <exception cref="ArgumentException">The value is outside of 0.98 to 1.</exception>
    public float CharacterCoverage
    {
        get => _characterCoverage;
        init => _characterCoverage = value is >= 0.98f and <= 1
            ? value
            : throw new ArgumentException(FormattableString.Invariant($"character_coverage {value}: must be from 0.98 to 1."));
    }

    /// <summary>Whether each digit stays a piece of its own.</summary>
    public bool SplitDigits { get; init; } = true;

    /// <summary>Whether spaces at both ends of a line are dropped and runs of spaces become one: true in llama2.c, false in Meta's tokenizer.</summary>
    public bool RemoveExtraWhitespaces { get; init; } = true;
}
