using System.Text;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.Tests.VocabularyTraining;
using LlamaFullstack.Data.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.Traps;

/// <summary>A million lines of one letter.</summary>
public class ShortLinesTests
{
    private const int Lines = 1_000_000;

    [Fact]
    public void TrainAndEncode_AMillionOneLetterLines_CountsAndEncodesThemAll()
    {
        var text = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("a\n", Lines)));
        var words = Corpus.Words(text);
        Assert.Equal((Lines, 1), (words.Lines, words.DistinctWords));
        var trained = VocabularyTrainer.Train(words, new VocabularyTrainerSettings { VocabSize = 262 });
        Assert.Equal(["_a", "a", "_"], Corpus.Texts(trained)); // a and the space are equally frequent: the lower code point first

        var ids = new List<int>();
        new Tokenizer(trained.Vocabulary).Encode(text, ids);
        Assert.Equal(2 * Lines, ids.Count);
        Assert.Equal([259, Vocabulary.FirstByte + '\n', 260, Vocabulary.FirstByte + '\n'], ids[..4]);
    }
}
