using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.Tests.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.Traps;

/// <summary>Half of a surrogate pair: no character of Unicode. In a string it becomes U+FFFD, as everywhere in .NET; in UTF-8 its bytes are invalid.</summary>
public class UnpairedSurrogateTests
{
    [Theory]
    [InlineData("\uD83D")]
    [InlineData("\uDE00")]
    [InlineData("\uDE00\uD83D")]
    public void Encode_Unpaired_IsTheReplacementCharacter(string text)
    {
        var tokenizer = new Tokenizer(Corpus.Train("ab ab\n", 264).Vocabulary);
        Assert.Equal(tokenizer.Encode("a" + new string('\uFFFD', text.Length) + "b"), tokenizer.Encode("a" + text + "b"));
        Assert.Equal("\U0001F600", tokenizer.Decode(tokenizer.Encode("\uD83D\uDE00"))); // the pair is a character
    }

    [Fact]
    public void Train_BytesOfASurrogate_AreReplacementCharacters() =>
        Assert.Equal(["_a\uFFFD\uFFFD\uFFFDb"], Corpus.Counted(Corpus.Words([(byte)'a', 0xED, 0xA0, 0xBD, (byte)'b'])).Keys);
}
