namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>How far training a vocabulary is.</summary>
/// <param name="Learned">Pieces learned so far.</param>
/// <param name="Wanted">Pieces to learn.</param>
/// <param name="Newest">The piece learned last, a space written as a space.</param>
/// <param name="Frequency">How often that piece was found in the text.</param>
public readonly record struct VocabularyTrainingProgress(int Learned, int Wanted, string Newest, long Frequency);
