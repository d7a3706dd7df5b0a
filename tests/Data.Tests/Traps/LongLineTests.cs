using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.Tests.VocabularyTraining;
using LlamaFullstack.Data.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.Traps;

/// <summary>A line of 100 MB: training a vocabulary leaves it out, as sentencepiece does, and says so; encoding takes it in linear time.</summary>
public class LongLineTests
{
    private const int Words = 25_000_000;

    [Fact]
    public void TrainAndEncode_ALineOf100Megabytes_IsSkippedAndEncoded()
    {
        var line = new byte[Words * 4];
        for (var at = 0; at < line.Length; at += 4)
            " abc"u8.CopyTo(line.AsSpan(at));

        var words = Corpus.Words(line);
        Assert.Equal((0, 1, 0), (words.Lines, words.LongLines, words.DistinctWords));
        var error = Assert.Throws<InvalidDataException>(() => VocabularyTrainer.Train(words, new VocabularyTrainerSettings { VocabSize = 300 }));
        Assert.Contains("1 lines were skipped as longer than 4,192 bytes", error.Message);

        var tokenizer = new Tokenizer(Corpus.Train("abc abc\n", 266).Vocabulary);
        var word = Assert.Single(tokenizer.Encode("abc"));
        var ids = new List<int>();
        tokenizer.Encode(line, ids);
        Assert.Equal(Words, ids.Count);
        Assert.DoesNotContain(ids, id => id != word);
    }

    // No place to cut: the whole line is one stretch.
    [Fact]
    public void Encode_AMegabyteWithoutASpace_IsEncoded()
    {
        var trained = Corpus.Train("aaaa\n", 263);
        Assert.Equal(["aa", "_aa", "a", "_"], Corpus.Texts(trained));
        Assert.Equal(500_000, new Tokenizer(trained.Vocabulary).Encode(new string('a', 1_000_000)).Length);
    }
}
