using System.Text;
using CsCheck;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Core.Tests;

public class TokenizerTests
{
    private static Tokenizer Llama2() => new(SentencePieceModel.Read(Fixtures.Path("llama2-tokenizer", "tokenizer.model")).Vocabulary);

    private static Tokenizer Tok512() => new(TokenizerBin.Read(Fixtures.Path("stories260K", "tok512.bin")));

    [Fact]
    public void Encode_LlamaCppsVectors_GivesTheirIds()
    {
        var tokenizer = Llama2();
        var inputs = File.ReadAllText(Fixtures.Path("spm-vectors", "ggml-vocab-llama-spm.gguf.inp")).Split("\n__ggml_vocab_test__\n");
        var outputs = File.ReadAllLines(Fixtures.Path("spm-vectors", "ggml-vocab-llama-spm.gguf.out"));
        Assert.Equal(46, outputs.Length);
        Assert.Equal(outputs.Length, inputs.Length - 1); // the last separator is followed by nothing
        for (var i = 0; i < outputs.Length; i++)
            Assert.Equal(outputs[i].Trim(), string.Join(' ', tokenizer.Encode(inputs[i])));
    }

    [Fact]
    public void Decode_GoldenIds_GivesTheGoldenText()
    {
        var ids = Fixtures.Ids("stories260K", "tokens_260K_greedy_200.txt");
        var text = File.ReadAllText(Fixtures.Path("stories260K", "run_260K_t0_n200.txt"));
        Assert.Equal(text, Tok512().Decode(ids) + " she\n"); // the ids are what the model was fed; the text has the 200th answer too
    }

    [Fact]
    public void Encode_AnyText_DecodesToItself()
    {
        foreach (var tokenizer in new[] { Llama2(), Tok512() })
        {
            Gen.String.Sample(text => tokenizer.Decode(tokenizer.Encode(text)) == Repaired(text), iter: 2000);
            Gen.String[Gen.Char[" \t\n\r\0aabn.e1\u00e9\u4e16\ud83d\ude00\u0301<>0x"], 0, 60]
                .Sample(text => tokenizer.Decode(tokenizer.Encode(text)) == Repaired(text), iter: 2000);
        }
    }

    [Fact]
    public void Encode_AnyText_IsWhatTheDefinitionGives()
    {
        foreach (var tokenizer in new[] { Llama2(), Tok512() })
        {
            var vocabulary = tokenizer.Vocabulary;
            Gen.String[Gen.Char["  aabbnnmm.e1!>\n\u00e9\u4e16"], 0, 24]
                .Sample(text => tokenizer.Encode(text).SequenceEqual(Definition(vocabulary, text)), iter: 1000);
        }
    }

    [Fact]
    public void Encode_AnyVocabulary_IsWhatTheDefinitionGives()
    {
        // Few letters, so that pieces meet; few scores, so that they tie; letters that are no piece; words around 16 and 32 bytes, and longer ones.
        var letters = Gen.Char["aab \u00e9\u4e16"];
        var pieces = Gen.Select(Gen.String[letters, 1, 9], Gen.Int[-4, 4], (text, score) => new Piece(Encoding.UTF8.GetBytes(text), score, PieceType.Normal)).Array[1, 40];
        var text = Gen.String[letters, 0, 40].Array[0, 6].Select(parts => string.Join(' ', parts));
        Gen.Select(pieces, text.Array[1, 8]).Sample((pieces, texts) =>
        {
            var vocabulary = new Vocabulary { Pieces = [.. Marks, .. Bytes, .. pieces] };
            var tokenizer = new Tokenizer(vocabulary);
            return texts.All(text => tokenizer.Encode(text).SequenceEqual(Definition(vocabulary, text)));
        }, iter: 2000);
    }

    [Fact]
    public void Encode_UnknownPieceThatIsMarkedAsText_IsNotText()
    {
        Piece[] pieces = [new("ab"u8.ToArray(), 0, PieceType.Normal), .. Marks[1..], .. Bytes, .. "abc ".Select(c => new Piece(new[] { (byte)c }, -9, PieceType.Normal))];
        var tokenizer = new Tokenizer(new Vocabulary { Pieces = pieces, AddDummyPrefix = false });
        Assert.Equal([Vocabulary.FirstText, Vocabulary.FirstText + 1], tokenizer.Encode("ab"));
        Assert.Equal([Vocabulary.FirstText, Vocabulary.FirstText + 1, Vocabulary.FirstText + 2], tokenizer.Encode("abc"));
        Assert.Equal(80, tokenizer.Encode(string.Concat(Enumerable.Repeat("ab", 40))).Length);
    }

    [Fact]
    public void Encode_EmptyText_HasNoDummyPrefix()
    {
        Assert.Empty(Llama2().Encode(""));
        Assert.Equal([Vocabulary.Bos, Vocabulary.Eos], Llama2().Encode("", bos: true, eos: true));
    }

    [Fact]
    public void Encode_AMegabyteOfOneLetter_IsNotQuadratic()
    {
        // n·log n is a second at most; n² would be hours: the test's time limit is the runner's.
        var ids = Llama2().Encode(new string('a', 1_000_000));
        Assert.Equal(1_000_001, Llama2().Decode(ids).Length + 1);
    }

    [Fact]
    public void Encode_ModelThatRemovesExtraWhitespaces_CollapsesAndTrims()
    {
        var tokenizer = new Tokenizer(SentencePieceModel.Read(Fixtures.Path("stories260K", "tok512.model")).Vocabulary);
        Assert.True(tokenizer.Vocabulary.RemoveExtraWhitespaces);
        Assert.Equal(tokenizer.Encode("a b"), tokenizer.Encode("  a   b "));
        Assert.Empty(tokenizer.Encode("   "));
        Assert.Equal(tokenizer.Encode("a \u2581b"), tokenizer.Encode("a  \u2581b"));
    }

    [Fact]
    public void Encode_TextThatNamesAMark_IsText()
    {
        var tokenizer = Llama2();
        Assert.DoesNotContain(Vocabulary.Bos, tokenizer.Encode("<s>"));
        Assert.DoesNotContain(Vocabulary.Eos, tokenizer.Encode("\n</s>\n"));
        Assert.DoesNotContain(Vocabulary.FirstByte + 0x41, tokenizer.Encode("<0x41>"));
        Assert.Equal("<s></s><unk><0x41>", tokenizer.Decode(tokenizer.Encode("<s></s><unk><0x41>")));
    }

    [Fact]
    public void Encode_BytesThatAreNotUtf8_BecomeBytePieces()
    {
        var ids = new List<int>();
        Llama2().Encode([0xFF, (byte)'a', 0xE4, 0xB8], ids);
        Assert.Equal(Vocabulary.FirstByte + 0xFF, ids[1]);
        Assert.Equal([Vocabulary.FirstByte + 0xE4, Vocabulary.FirstByte + 0xB8], ids[^2..]);
    }

    [Theory]
    [InlineData("<0x00>", 0x00)]
    [InlineData("<0xfF>", 0xFF)]
    [InlineData("<0x-1>", -1)]
    [InlineData("<0x 1>", -1)]
    [InlineData("<0x1>", -1)]
    [InlineData("<0x123>", -1)]
    public void TryParseByte_OnlyTwoHexDigits_AreAByte(string text, int expected)
    {
        var isByte = Tokenizer.TryParseByte(Encoding.UTF8.GetBytes(text), out var value);
        Assert.Equal(expected >= 0, isByte);
        if (isByte)
            Assert.Equal(expected, value);
    }

    private static readonly Piece[] Marks =
        [new("<unk>"u8.ToArray(), 0, PieceType.Unknown), new("<s>"u8.ToArray(), 0, PieceType.Control), new("</s>"u8.ToArray(), 0, PieceType.Control)];

    private static readonly Piece[] Bytes = [.. Enumerable.Range(0, 256).Select(b => new Piece(Encoding.ASCII.GetBytes($"<0x{b:X2}>"), 0, PieceType.Byte))];

    private static string Repaired(string text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)).Replace('\u2581', ' ');

    /// <summary>The definition of llama2.c's run, with no regard for cost: merge the best adjacent pair, leftmost on ties, until none is a piece.</summary>
    private static List<int> Definition(Vocabulary vocabulary, string text)
    {
        var ids = new Dictionary<string, int>();
        for (var id = Vocabulary.FirstText; id < vocabulary.Count; id++)
            if (vocabulary.Pieces[id].Type == PieceType.Normal)
                ids.TryAdd(vocabulary.Pieces[id].ToString(), id);
        if (text.Length == 0)
            return [];
        var symbols = (" " + text).EnumerateRunes().Select(rune => rune.ToString()).ToList();
        while (true)
        {
            var best = -1;
            var bestScore = float.NegativeInfinity;
            for (var i = 0; i + 1 < symbols.Count; i++)
                if (ids.TryGetValue(symbols[i] + symbols[i + 1], out var id) && vocabulary.Pieces[id].Score > bestScore)
                    (best, bestScore) = (i, vocabulary.Pieces[id].Score);
            if (best < 0)
                break;
            symbols[best] += symbols[best + 1];
            symbols.RemoveAt(best + 1);
        }
        return [.. symbols.SelectMany(symbol => ids.TryGetValue(symbol, out var id)
            ? [id]
            : Encoding.UTF8.GetBytes(symbol).Select(b => Vocabulary.FirstByte + b))];
    }
}
