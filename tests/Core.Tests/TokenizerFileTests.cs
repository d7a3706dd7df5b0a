using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Core.Tests;

public class TokenizerFileTests
{
    public static TheoryData<string, string, string> Pairs => new()
    {
        { "stories260K", "tok512.model", "tok512.bin" },
        { "llama2-tokenizer", "tokenizer.model", "tokenizer.bin" },
    };

    [Theory]
    [MemberData(nameof(Pairs))]
    public void ModelToBin_IsByteIdenticalToLlama2c(string folder, string model, string bin)
    {
        using var temp = new TempFolder();
        TokenizerBin.Write(temp.File("t.bin"), SentencePieceModel.Read(Fixtures.Path(folder, model)).Vocabulary);
        Assert.Equal(File.ReadAllBytes(Fixtures.Path(folder, bin)), File.ReadAllBytes(temp.File("t.bin")));
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void ReadThenWrite_IsTheSameFile(string folder, string model, string bin)
    {
        using var temp = new TempFolder();
        SentencePieceModel.Read(Fixtures.Path(folder, model)).Write(temp.File("t.model"));
        Assert.Equal(File.ReadAllBytes(Fixtures.Path(folder, model)), File.ReadAllBytes(temp.File("t.model")));
        TokenizerBin.Write(temp.File("t.bin"), TokenizerBin.Read(Fixtures.Path(folder, bin)));
        Assert.Equal(File.ReadAllBytes(Fixtures.Path(folder, bin)), File.ReadAllBytes(temp.File("t.bin")));
    }

    [Fact]
    public void ReadBin_PiecesLongerThanWhatIsHeldOfTheFile_ReadBack()
    {
        using var temp = new TempFolder();
        var pieces = TokenizerBin.Read(Fixtures.Path("stories260K", "tok512.bin")).Pieces.ToList();
        for (var length = 1000; length < 70_000; length = length * 3 + 1)
            pieces.Add(new Piece(Enumerable.Range(length, length).Select(i => (byte)(i % 251)).ToArray(), -length, PieceType.Normal));
        TokenizerBin.Write(temp.File("t.bin"), new Vocabulary { Pieces = pieces });
        Assert.Equal(pieces.Select(Plain), TokenizerBin.Read(temp.File("t.bin")).Pieces.Select(Plain));

        static (string, float, PieceType) Plain(Piece piece) => (Convert.ToHexString(piece.Text.Span), piece.Score, piece.Type);
    }

    [Fact]
    public void ReadModel_Llama2s_KeepsItsRules()
    {
        var vocabulary = SentencePieceModel.Read(Fixtures.Path("llama2-tokenizer", "tokenizer.model")).Vocabulary;
        Assert.Equal(32000, vocabulary.Count);
        Assert.True(vocabulary.AddDummyPrefix);
        Assert.False(vocabulary.RemoveExtraWhitespaces);
        Assert.Equal(PieceType.Unknown, vocabulary.Pieces[0].Type);
        Assert.Equal(PieceType.Control, vocabulary.Pieces[2].Type);
        Assert.Equal(PieceType.Byte, vocabulary.Pieces[258].Type);
    }

    [Fact]
    public void Read_TokenizerOfAnotherModel_NamesBothNumbers()
    {
        var path = Fixtures.Path("stories260K", "tok512.bin");
        var error = Assert.Throws<InvalidDataException>(() => TokenizerFile.Read(path, "model.bin", 32000));
        Assert.Equal($"{path}: has 512 tokens, but model.bin was trained with 32,000. Name the model's own tokenizer with -z.", error.Message);
    }

    [Fact]
    public void ReadBin_EveryTruncation_IsOneClearError()
    {
        using var temp = new TempFolder();
        var whole = File.ReadAllBytes(Fixtures.Path("stories260K", "tok512.bin"));
        var ends = TokenEnds(whole);
        for (var length = 0; length < whole.Length; length += length < 64 ? 1 : 13)
        {
            var path = temp.Write("cut.bin", whole[..length]);
            if (ends.Contains(length) && length > ends[258])
                Assert.True(TokenizerBin.Read(path).Count < 512); // whole tokens: only the model can tell that some are missing
            else
                Assert.StartsWith(path, Assert.Throws<InvalidDataException>(() => TokenizerBin.Read(path)).Message);
        }
    }

    [Theory]
    [InlineData(0, 0u, "max_token_length is 0")]
    [InlineData(8, 0x7fffffffu, "token 0 is 2,147,483,647 bytes long")]
    [InlineData(8, 0xffffffffu, "token 0 is 4,294,967,295 bytes long")]
    [InlineData(4, 0x7fc00000u, "the score of token 0 is not a number")]
    public void ReadBin_HostileField_IsNamed(int offset, uint value, string message)
    {
        using var temp = new TempFolder();
        var bytes = File.ReadAllBytes(Fixtures.Path("stories260K", "tok512.bin"));
        BitConverter.TryWriteBytes(bytes.AsSpan(offset), value);
        var error = Assert.Throws<InvalidDataException>(() => TokenizerBin.Read(temp.Write("hostile.bin", bytes)));
        Assert.Contains(message, error.Message);
    }

    [Fact]
    public void ReadModel_EveryTruncation_IsOneClearErrorOrAShorterModel()
    {
        using var temp = new TempFolder();
        var whole = File.ReadAllBytes(Fixtures.Path("stories260K", "tok512.model"));
        for (var length = 0; length < whole.Length; length += 7)
        {
            var path = temp.Write("cut.model", whole[..length]);
            Assert.StartsWith(path, Assert.Throws<InvalidDataException>(() => SentencePieceModel.Read(path)).Message);
        }
    }

    [Fact]
    public void Read_AFileOfAnotherKind_IsRefused()
    {
        using var temp = new TempFolder();
        var text = temp.Write("text", "Once upon a time there was a little girl. She liked to read."u8.ToArray());
        Assert.Throws<InvalidDataException>(() => TokenizerBin.Read(text));
        Assert.Throws<InvalidDataException>(() => SentencePieceModel.Read(text));
        Assert.Throws<InvalidDataException>(() => TokenizerBin.Read(Fixtures.Path("stories260K", "stories260K.bin")));
        Assert.Throws<InvalidDataException>(() => TokenizerBin.Read(Fixtures.Path("stories260K", "tok512.model")));
        Assert.Throws<InvalidDataException>(() => SentencePieceModel.Read(Fixtures.Path("stories260K", "tok512.bin")));
    }

    [Fact]
    public void Trained_Model_ReadsBack()
    {
        using var temp = new TempFolder();
        var vocabulary = SentencePieceModel.Read(Fixtures.Path("stories260K", "tok512.model")).Vocabulary;
        SentencePieceModel.Trained(vocabulary, new SentencePieceTraining("in.txt", "tok512", 1f, 2)).Write(temp.File("t.model"));
        var read = SentencePieceModel.Read(temp.File("t.model")).Vocabulary;
        Assert.Equal(vocabulary.RemoveExtraWhitespaces, read.RemoveExtraWhitespaces);
        Assert.Equal(vocabulary.Pieces.Select(piece => (piece.ToString(), piece.Score, piece.Type)), read.Pieces.Select(piece => (piece.ToString(), piece.Score, piece.Type)));
    }

    private static List<int> TokenEnds(byte[] bytes)
    {
        var ends = new List<int>();
        for (var offset = 4; offset < bytes.Length;)
        {
            offset += 8 + BitConverter.ToInt32(bytes, offset + 4);
            ends.Add(offset);
        }
        return ends;
    }
}
