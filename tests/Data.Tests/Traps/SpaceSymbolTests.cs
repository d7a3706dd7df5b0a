using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.Tests.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.Traps;

/// <summary>U+2581, sentencepiece's own mark for a space, in the text: it is a space, and comes back as one.</summary>
public class SpaceSymbolTests
{
    [Fact]
    public void Train_SpaceSymbol_IsASpace() =>
        Assert.Equal(["_a", "_b"], Corpus.Counted(Corpus.Words("a\u2581b"u8)).Keys);

    [Fact]
    public void Encode_SpaceSymbol_IsASpace()
    {
        var tokenizer = new Tokenizer(Corpus.Train("ab ab\n", 264).Vocabulary);
        Assert.Equal(tokenizer.Encode("ab ab"), tokenizer.Encode("ab\u2581ab"));
        Assert.Equal("ab ab", tokenizer.Decode(tokenizer.Encode("ab\u2581ab")));
    }

    // Cut after one or two of its three bytes it is no space, but bytes; at the very end of the text too.
    [Fact]
    public void Encode_PartOfASpaceSymbol_IsItsBytes()
    {
        var tokenizer = new Tokenizer(Corpus.Train("ab ab\n", 264).Vocabulary);
        var ids = new List<int>();
        tokenizer.Encode([(byte)'a', 0xE2, 0x96], ids);
        Assert.Equal([Vocabulary.FirstByte + 0xE2, Vocabulary.FirstByte + 0x96], ids[^2..]);
    }
}
