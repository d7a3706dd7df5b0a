using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.Tests.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.Traps;

/// <summary>A byte order mark (U+FEFF) in front: a character of the text like any other, as in sentencepiece; nothing drops it.</summary>
public class ByteOrderMarkTests
{
    [Fact]
    public void Train_ByteOrderMark_IsPartOfTheFirstWord() =>
        Assert.Equal(["_ab", "_\uFEFFab"], Corpus.Counted(Corpus.Words("\uFEFFab ab\n"u8)).Keys);

    [Theory]
    [InlineData("\uFEFFab\n")] // it has a piece
    [InlineData("ab ab\n")] // it is three bytes
    public void Encode_ByteOrderMark_DecodesToItself(string trainedOn)
    {
        var tokenizer = new Tokenizer(Corpus.Train(trainedOn, trainedOn[0] == '\uFEFF' ? 265 : 264).Vocabulary);
        var ids = tokenizer.Encode("\uFEFFab");
        Assert.Equal("\uFEFFab", tokenizer.Decode(ids));
        Assert.Equal(trainedOn[0] != '\uFEFF', ids.Contains(Vocabulary.FirstByte + 0xEF));
    }
}
