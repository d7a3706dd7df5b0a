// A trained vocabulary → the three files of it.
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>Writes a trained vocabulary in each of its forms.</summary>
public static class VocabularyFiles
{
    private const int DefaultThreads = 16; // sentencepiece's own num_threads

    /// <summary>Writes tokN.model for sentencepiece, tokN.vocab for people and tokN.bin for the engine, each atomically.</summary>
    /// <param name="folder">The dataset that it was trained on.</param>
    /// <param name="trained">The vocabulary.</param>
    /// <returns>The files' paths.</returns>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public static IReadOnlyList<string> Write(DataFolder folder, TrainedVocabulary trained)
    {
        var settings = trained.Settings;
        var size = settings.VocabSize;
        var (model, text, bin) = (folder.TokenizerModel(size), folder.VocabularyText(size), folder.TokenizerBin(size));
        // Nothing of this machine goes into the file: the same vocabulary is the same file, and its hash is what shards are checked by.
        var training = new SentencePieceTraining(folder.Dataset, $"tok{size}", settings.CharacterCoverage, DefaultThreads, settings.SplitDigits);
        SentencePieceModel.Trained(trained.Vocabulary, training).Write(model);
        VocabularyText.Write(text, trained.Vocabulary);
        TokenizerBin.Write(bin, trained.Vocabulary);
        return [model, text, bin];
    }
}
