using System.Text;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.Datasets;
using LlamaFullstack.Data.Stories;
using LlamaFullstack.Data.Tokens;

namespace LlamaFullstack.Data.Tests.Datasets;

/// <summary>Texts that are known to break readers and tokenizers, from the file to the tokens and back.</summary>
public sealed class TrapTests : IDisposable
{
    private const int VocabSize = Vocabulary.FirstText + 2;

    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    // CRLF is a line end in .txt, and two characters of the text in JSON.
    [Theory]
    [InlineData("crlf.txt", "a\r\nb\r\n\r\nc\r\n", "a\nb", "c")]
    [InlineData("crlf.json", "[\r\n{\"story\":\"a\\r\\nb\"}\r\n]\r\n", "a\r\nb")]
    [InlineData("crlf.jsonl", "{\"text\":\"a\\r\\nb\"}\r\n{\"text\":\"c\"}\r\n", "a\r\nb", "c")]
    [InlineData("bom.txt", "\uFEFFa\n\n\uFEFFb", "a", "\uFEFFb")]
    [InlineData("bom.json", "\uFEFF[{\"story\":\"a\"}]", "a")]
    [InlineData("bom.jsonl", "\uFEFF{\"text\":\"a\"}", "a")]
    [InlineData("nul.txt", "a\0b\n\n\0", "a\0b", "\0")]
    [InlineData("nul.json", "[{\"story\":\"a\\u0000b\"}]", "a\0b")]
    [InlineData("nul.jsonl", "{\"text\":\"\\u0000\"}", "\0")]
    [InlineData("mark.txt", "a\u2581b", "a b")]     // U+2581 is how sentencepiece writes a space: there is no telling them apart
    [InlineData("lone.json", "[{\"story\":\"a\\ud800b\\udc00\"}]", "a\uFFFDb\uFFFD")]
    [InlineData("lone.jsonl", "{\"text\":\"\\ud83d\\u0041\"}", "\uFFFDA")]
    public async Task Pretokenize_Trap_ComesBackFromTheTokens(string name, string text, params string[] stories) =>
        Assert.Equal(stories, await Stories(_temp.Write(name, Encoding.UTF8.GetBytes(text)), separator: null));

    [Fact]
    public void Read_LineOf100Megabytes_IsOneStory()
    {
        var line = new byte[100_000_000];
        line.AsSpan().Fill((byte)'a');
        foreach (var reader in new StoryReader[]
        {
            new TextStoryReader(new MemoryStream(line), "long.txt"),
            new JsonStoryReader(new MemoryStream([.. "{\"text\":\""u8, .. line, .. "\"}"u8]), "long.jsonl", "text", lines: true),
        })
        {
            Assert.True(reader.Read());
            Assert.True(reader.Story.SequenceEqual(line));
            Assert.False(reader.Read());
            reader.Dispose();
        }
    }

    [Fact]
    public async Task Pretokenize_WordOfAMegabyte_IsOneStory()
    {
        var made = await Pretokenize(_temp.Write("word.txt", Encoding.UTF8.GetBytes(new string('a', 1_000_000))), null);
        Assert.Equal((1, 1_000_002), (made.Stories, made.Tokens));      // BOS and the space in front of the text
    }

    [Fact]
    public async Task Pretokenize_MillionLinesOfOneLetter_AreAMillionStories()
    {
        const int Lines = 1_000_000;
        var line = string.Concat(Enumerable.Repeat("a\n", Lines));
        var made = await Pretokenize(_temp.Write("many.txt", Encoding.UTF8.GetBytes(line)), "line");
        Assert.Equal((Lines, 3L * Lines), (made.Stories, made.Tokens));
        made = await Pretokenize(_temp.Write("more.jsonl", Encoding.UTF8.GetBytes(line.Replace("a", "{\"text\":\"a\"}"))), null);
        Assert.Equal((Lines, 3L * Lines), (made.Stories, made.Tokens));
    }

    private async Task<List<string>> Stories(string path, string? separator)
    {
        var made = await Pretokenize(path, separator);
        var folder = Folder(path);
        var tokenizer = new Tokenizer(SentencePieceModel.Read(folder.TokenizerModel(VocabSize)).Vocabulary);
        var stories = new List<string>();
        foreach (var shard in made.Shards.Where(shard => shard.Tokens > 0))
        {
            using var tokens = TokenShard.Open(Path.Combine(folder.Tokens(VocabSize), shard.Name));
            var all = new long[tokens.Length];
            tokens.Read(0, all);
            foreach (var ids in Between(all))
                stories.Add(tokenizer.Decode(ids));
        }
        return stories;
    }

    private static IEnumerable<int[]> Between(long[] tokens)
    {
        var starts = Enumerable.Range(0, tokens.Length).Where(i => tokens[i] == Vocabulary.Bos).Append(tokens.Length).ToArray();
        for (var i = 0; i + 1 < starts.Length; i++)
            yield return [.. tokens[starts[i]..starts[i + 1]].Select(token => (int)token)];
    }

    private DataFolder Folder(string path) => new(_temp.File("data"), path);

    /// <summary>With a vocabulary of the bytes, " " and "a".</summary>
    private async Task<TokenManifest> Pretokenize(string path, string? separator)
    {
        var folder = Folder(path);
        Piece[] pieces =
        [
            new("<unk>"u8.ToArray(), 0, PieceType.Unknown),
            new("<s>"u8.ToArray(), 0, PieceType.Control),
            new("</s>"u8.ToArray(), 0, PieceType.Control),
            .. Enumerable.Range(0, 256).Select(value => new Piece(Encoding.ASCII.GetBytes($"<0x{value:X2}>"), 0, PieceType.Byte)),
            new(" "u8.ToArray(), 0, PieceType.Normal),
            new("a"u8.ToArray(), -1, PieceType.Normal),
        ];
        var training = new SentencePieceTraining("traps", "tok", CharacterCoverage: 1, NumThreads: 1);
        SentencePieceModel.Trained(new Vocabulary { Pieces = pieces }, training).Write(folder.TokenizerModel(VocabSize));
        return await Pretokenizer.RunAsync(FileDataset.Open(folder, new DatasetSource(Separator: separator, Validation: "first")), folder, VocabSize);
    }
}
