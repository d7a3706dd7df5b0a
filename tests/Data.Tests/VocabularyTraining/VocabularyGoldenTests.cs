using LlamaFullstack.Core.Formats;
using LlamaFullstack.Data.Datasets;
using LlamaFullstack.Data.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.VocabularyTraining;

/// <summary>Vocabularies that sentencepiece 0.2.1 trained, byte for byte.</summary>
public class VocabularyGoldenTests
{
    [Theory]
    [InlineData(512, 1)]
    [InlineData(2048, 2)]
    [InlineData(4096, 3)]
    public void Train_Stories_GivesSentencepiecesVocabulary(int vocabSize, int threads)
    {
        var dataset = FileDataset.Open(new DataFolder(Fixtures.Path("tinystories"), DataFolder.TinyStories));
        var settings = new VocabularyTrainerSettings { VocabSize = vocabSize };
        var trained = VocabularyTrainer.Train(StoryWords.Count(dataset, dataset.Files, settings, threads), settings);
        Assert.Equal(File.ReadAllText(Fixtures.Path("spm-train", $"stories-{vocabSize}.vocab")), Text(trained));
        Assert.Null(trained.FirstArbitraryPiece);
    }

    [Fact]
    public void Train_MixedScripts_GivesSentencepiecesVocabulary()
    {
        var words = Corpus.Words(File.ReadAllBytes(Fixtures.Path("spm-train", "mixed.txt")));
        var trained = VocabularyTrainer.Train(words, new VocabularyTrainerSettings { VocabSize = 4096 });
        Assert.Equal(File.ReadAllText(Fixtures.Path("spm-train", "mixed-4096.vocab")), Text(trained));
        Assert.Equal(47, words.LongLines); // lines of more than 4,192 bytes: grep -cE '.{4193}' in the C locale
    }

    [Fact]
    public void Write_Vocabulary_GivesThreeFilesOfTheSamePieces()
    {
        using var temp = new TempFolder();
        var folder = new DataFolder(temp.Path, DataFolder.TinyStories);
        var trained = Corpus.Train("ab ab abc  <s> é\n", 266);
        Assert.Equal([folder.TokenizerModel(266), folder.VocabularyText(266), folder.TokenizerBin(266)], VocabularyFiles.Write(folder, trained));

        var fromModel = SentencePieceModel.Read(folder.TokenizerModel(266)).Vocabulary;
        var fromBin = TokenizerBin.Read(folder.TokenizerBin(266));
        Assert.True(fromModel.RemoveExtraWhitespaces);
        Assert.Equal(Text(trained), File.ReadAllText(folder.VocabularyText(266)));
        Assert.Equal(VocabularyText.Format(trained.Vocabulary), VocabularyText.Format(fromModel));
        Assert.Equal(VocabularyText.Format(trained.Vocabulary), VocabularyText.Format(fromBin));
    }

    [Fact]
    public void Write_OnADiskThatIsFullAtTheLastFile_LeavesThoseOfBefore()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "no /dev/full here to stand for a full disk");
        using var temp = new TempFolder();
        var folder = new DataFolder(temp.Path, DataFolder.TinyStories);
        var paths = VocabularyFiles.Write(folder, Corpus.Train("ab ab abc\n", 264));
        var before = paths.Select(File.ReadAllBytes).ToList();
        foreach (var full in paths)
        {
            File.CreateSymbolicLink(full + ".tmp", "/dev/full");
            Assert.Equal($"{full}: No space left on device.", Assert.ThrowsAny<IOException>(() => VocabularyFiles.Write(folder, Corpus.Train("xy xy xyz\n", 264))).Message);
            Assert.Equal(before, paths.Select(File.ReadAllBytes));
            Assert.Equal(paths.Order(), Directory.GetFiles(folder.Root).Order());
        }
    }

    // Written by Debian's python3-sentencepiece 0.1.97 from this text with the arguments of llama2.c's tinystories.py (num_threads 16, sentencepiece's
    // own default); the trainer of 0.2.1 writes the same fields in the same order.
    [Fact]
    public void Write_Model_GivesTheBytesOfPythonsSentencepiece()
    {
        using var temp = new TempFolder();
        var folder = new DataFolder(temp.Path, DataFolder.TinyStories);
        const string Text = "the cat sat on the mat and the cat ate the rat that sat on the hat\n12 na\u00efve cats  saw \u6f22\u5b57 and \u30ab\u30fc\n";
        VocabularyFiles.Write(folder, Corpus.Train(Text, 300));
        var expected = Path.Combine(Fixtures.RepositoryRoot, "tests", "Data.Tests", "VocabularyTraining", "Expected", "python.model");
        Assert.Equal(File.ReadAllBytes(expected), File.ReadAllBytes(folder.TokenizerModel(300)));
    }

    private static string Text(TrainedVocabulary trained) => System.Text.Encoding.UTF8.GetString(VocabularyText.Format(trained.Vocabulary));
}
