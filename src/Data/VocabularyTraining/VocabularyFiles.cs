// A trained vocabulary → the three files of it.
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>Writes a trained vocabulary in each of its forms.</summary>
public static class VocabularyFiles
{
    private const int DefaultThreads = 16; // sentencepiece's own num_threads

    /// <summary>Writes tokN.model for sentencepiece, tokN.vocab for people and tokN.bin for the engine: where one cannot be written, none is.</summary>
    /// <param name="folder">The dataset that it was trained on.</param>
    /// <param name="trained">The vocabulary.</param>
    /// <returns>The files' paths.</returns>
    /// <exception cref="IOException">A file cannot be written; the message begins with its name.</exception>
    public static IReadOnlyList<string> Write(DataFolder folder, TrainedVocabulary trained)
    {
        var settings = trained.Settings;
        var size = settings.VocabSize;
        // Nothing of this machine goes into the file: the same vocabulary is the same file, and its hash is what shards are checked by.
        var training = new SentencePieceTraining(folder.Dataset, $"tok{size}", settings.CharacterCoverage, DefaultThreads, settings.SplitDigits);
        string[] paths = [folder.TokenizerModel(size), folder.VocabularyText(size), folder.TokenizerBin(size)];
        AtomicFile.Write(paths, files =>
        {
            SentencePieceModel.Trained(trained.Vocabulary, training).Write(files[0]);
            files[1].Write(VocabularyText.Format(trained.Vocabulary));
            TokenizerBin.Write(files[2], trained.Vocabulary);
        });
        return paths;
    }
}
