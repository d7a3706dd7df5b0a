using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>A vocabulary, and what its training found.</summary>
/// <param name="Vocabulary">The vocabulary.</param>
/// <param name="Settings">What it was trained with.</param>
/// <param name="LearnedPieces">How many pieces were merged from others.</param>
/// <param name="Characters">How many characters of the text are pieces.</param>
/// <param name="DroppedCharacters">How many different characters of the text are not, and become bytes.</param>
/// <param name="FirstArbitraryPiece">
/// The id of the first piece that sentencepiece may choose differently, from one of its builds to another; null in the usual case. It looks at
/// no more than the most frequent 1,000 pairs (or 5 %) at a time, and in a small text so many are equally frequent that the order of a
/// hash table decides which these are. All pieces before it are the same everywhere.
/// </param>
public sealed record TrainedVocabulary(
    Vocabulary Vocabulary,
    VocabularyTrainerSettings Settings,
    int LearnedPieces,
    int Characters,
    int DroppedCharacters,
    int? FirstArbitraryPiece);
