using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.Tests.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.Traps;

/// <summary>The character NUL, which ends a string in C: it ends nothing here, has no piece, and is encoded as its byte.</summary>
public class NulTests
{
    [Fact]
    public void Train_Nul_HasNoPieceAndEndsNothing()
    {
        var trained = Corpus.Train("ab\0ab ab\0\n", 264);
        Assert.Equal(["ab", "_ab", "a", "b", "_"], Corpus.Texts(trained));
    }

    // Texts that differ in their NULs alone, of every length that the encoder's cache holds and more.
    [Fact]
    public void Encode_AnyNumberOfNuls_AreThatManyBytes()
    {
        var tokenizer = new Tokenizer(Corpus.Train("ab ab\n", 264).Vocabulary);
        var ab = tokenizer.Encode("ab");
        for (var nuls = 0; nuls < 40; nuls++)
        {
            int[] expected = [.. ab, .. Enumerable.Repeat(Vocabulary.FirstByte, nuls)];
            Assert.Equal(expected, tokenizer.Encode("ab" + new string('\0', nuls)));
            Assert.Equal(expected, tokenizer.Encode("ab" + new string('\0', nuls))); // once more, from the cache
        }
    }
}
