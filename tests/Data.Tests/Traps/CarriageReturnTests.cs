using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.Tests.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.Traps;

/// <summary>Lines that end with CR LF: the CR is a character of the text like any other, as in sentencepiece.</summary>
public class CarriageReturnTests
{
    [Fact]
    public void Train_CrLf_KeepsTheCarriageReturnAsTheEndOfALinesLastWord()
    {
        var words = Corpus.Words("ab ab\r\nab\r\n\r\n"u8);
        Assert.Equal(new SortedDictionary<string, long>(StringComparer.Ordinal) { ["_\r"] = 1, ["_ab"] = 1, ["_ab\r"] = 2 }, Corpus.Counted(words));
        Assert.Equal(3, words.Lines);
    }

    [Fact]
    public void Encode_CrLf_DecodesToItself()
    {
        var tokenizer = new Tokenizer(Corpus.Train("ab ab\r\nab\r\n", 265).Vocabulary);
        Assert.Equal("ab\r\nab\r\n\r\n", tokenizer.Decode(tokenizer.Encode("ab\r\nab\r\n\r\n")));
    }
}
