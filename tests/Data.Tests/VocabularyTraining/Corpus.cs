using System.Text;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.VocabularyTraining;

/// <summary>Trains on a text in memory.</summary>
internal static class Corpus
{
    public static WordCounts Words(ReadOnlySpan<byte> text, bool removeExtraWhitespaces = true)
    {
        var words = new WordCounts(removeExtraWhitespaces);
        words.Add(text);
        return words;
    }

    public static TrainedVocabulary Train(string text, int vocabSize) =>
        VocabularyTrainer.Train(Words(Encoding.UTF8.GetBytes(text)), new VocabularyTrainerSettings { VocabSize = vocabSize });

    /// <summary>The text's words with their counts, "_" for a space.</summary>
    public static SortedDictionary<string, long> Counted(WordCounts words)
    {
        var counted = new SortedDictionary<string, long>(StringComparer.Ordinal);
        for (var slot = 0; slot < words.Table.Capacity; slot++)
            if (words.Table.CountAt(slot) != 0)
                counted.Add("_" + Encoding.UTF8.GetString(words.Table.KeyAt(slot)).Replace(' ', '_'), words.Table.CountAt(slot));
        return counted;
    }

    /// <summary>The pieces after the marks and bytes, "_" for a space.</summary>
    public static string[] Texts(TrainedVocabulary trained) =>
        [.. trained.Vocabulary.Pieces.Skip(Vocabulary.FirstText).Select(piece => piece.ToString().Replace(' ', '_'))];
}
