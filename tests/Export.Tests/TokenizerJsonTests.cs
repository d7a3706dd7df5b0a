using System.Text;
using System.Text.Json.Nodes;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Export.Tests;

/// <summary>tokenizer.json of Hugging Face's: what sentencepiece's BPE is comes out as sentencepiece's own file has it; anything else is refused by name.</summary>
public sealed class TokenizerJsonTests : IDisposable
{
    private static readonly Dictionary<string, (string Message, Action<JsonObject> Spoil)> Cases = new()
    {
        ["no model"] = ("it has no \"model\"", json => json.Remove("model")),
        ["model of another type"] = ("its model is of the type 'Unigram'", json => json["model"]!["type"] = "Unigram"),
        ["model is a number"] = ("model '7' is not an object", json => json["model"] = 7),
        ["no byte_fallback"] = ("byte_fallback is not true", json => json["model"]!["byte_fallback"] = false),
        ["byte-level"] = ("a byte-level BPE, as Llama 3's", json => json["pre_tokenizer"] = JsonNode.Parse("""{"type":"Sequence","pretokenizers":[{"type":"ByteLevel"}]}""")),
        ["byte-level after a regex"] = ("a byte-level BPE", json => (json["pre_tokenizer"], json["decoder"]) = (JsonNode.Parse("""{"type":"Split"}"""), JsonNode.Parse("""{"type":"ByteLevel"}"""))),
        ["splits words"] = ("its pre_tokenizer 'Metaspace' splits text", json => json["pre_tokenizer"] = JsonNode.Parse("""{"type":"Metaspace","replacement":"▁"}""")),
        ["normalizes"] = ("its normalizer 'NFKC' changes text", json => json["normalizer"] = JsonNode.Parse("""{"type":"NFKC"}""")),
        ["replaces by a regex"] = ("its normalizer 'Replace' changes text", json => json["normalizer"] = JsonNode.Parse("""{"type":"Replace","pattern":{"Regex":" +"},"content":"▁"}""")),
        ["spaces stay spaces"] = ("does not make '▁' of a space", json => json["normalizer"] = null),
        ["normalizer is a text"] = ("normalizer 'x' is not an object", json => json["normalizer"] = "x"),
        ["sequence of numbers"] = ("normalizers holds what is not an object", json => json["normalizer"] = JsonNode.Parse("""{"type":"Sequence","normalizers":[1]}""")),
        ["sequence is no array"] = ("normalizers is not an array", json => json["normalizer"] = JsonNode.Parse("""{"type":"Sequence","normalizers":1}""")),
        ["ignore_merges"] = ("ignore_merges is true", json => json["model"]!["ignore_merges"] = true),
        ["dropout"] = ("dropout is set", json => json["model"]!["dropout"] = 0.1),
        ["dropout a text"] = ("dropout 'x' is not a number", json => json["model"]!["dropout"] = "x"),
        ["suffix"] = ("end_of_word_suffix '</w>' is not supported", json => json["model"]!["end_of_word_suffix"] = "</w>"),
        ["prefix"] = ("continuing_subword_prefix '##' is not supported", json => json["model"]!["continuing_subword_prefix"] = "##"),
        ["no vocab"] = ("its model has no vocab", json => json["model"]!.AsObject().Remove("vocab")),
        ["vocab is a list"] = ("vocab '[]' is not an object", json => json["model"]!["vocab"] = new JsonArray()),
        ["empty vocab"] = ("token 0 is '', expected <unk>", json => json["model"]!["vocab"] = new JsonObject()),
        ["id negative"] = ("the piece 'a' has the id '-1'", json => json["model"]!["vocab"]!["a"] = -1),
        ["id of billions"] = ("the piece 'a' has the id '4000000000'", json => json["model"]!["vocab"]!["a"] = 4_000_000_000),
        ["id leaves a gap"] = ("the piece 'a' has the id '5000'", json => json["model"]!["vocab"]!["a"] = 5000),
        ["id a text"] = ("the piece 'a' has the id '1'", json => json["model"]!["vocab"]!["a"] = "1"),
        ["id a fraction"] = ("the piece 'a' has the id '1.5'", json => json["model"]!["vocab"]!["a"] = 1.5),
        ["id twice"] = ("have the same id 259", json => json["model"]!["vocab"]!["a"] = 259),
        ["long piece"] = ("has 200 characters", json => json["model"]!["vocab"]!.AsObject().Add(new string('x', 200), 266)),
        ["piece without text"] = ("the piece '' has 0 characters", json => json["model"]!["vocab"]!.AsObject().Add("", 266)),
        ["other marks"] = ("token 0 is '<pad>', expected <unk>", json => Rename(json, "<unk>", "<pad>")),
        ["no bytes"] = ("token 3 must be the byte <0x00>", json => Rename(json, "<0x00>", "zero")),
        ["byte that is none"] = ("token 3 must be the byte <0x00>", json => Rename(json, "<0x00>", "<0x-0>")),
        ["merge of an unknown piece"] = ("a merge names 'zz', which is no piece", json => json["model"]!["merges"]!.AsArray().Add("zz a")),
        ["merge makes no piece"] = ("a merge names 'cc', which is no piece", json => json["model"]!["merges"]!.AsArray().Add("c c")),
        ["merge of three"] = ("the merge 'a b c' is not two pieces", json => json["model"]!["merges"]!.AsArray().Add("a b c")),
        ["merge of one"] = ("is not two pieces", json => json["model"]!["merges"]!.AsArray().Add(new JsonArray("a"))),
        ["merge is a number"] = ("the merge '5' is not two pieces", json => json["model"]!["merges"]!.AsArray().Add(5)),
        ["merge of nulls"] = ("a merge names ''", json => json["model"]!["merges"]!.AsArray().Add(new JsonArray(null, null))),
        ["merge twice"] = ("the merge 'a' 'b' stands twice", json => json["model"]!["merges"]!.AsArray().Insert(1, "a b")),
        ["merge missing"] = ("'a' 'b' make a piece but are no merge", json => json["model"]!["merges"]!.AsArray().RemoveAt(0)),
        ["merges apart"] = ("the merges that make 'abc' do not stand together", json => json["model"]!["merges"] = JsonNode.Parse("""["ab c", "a b", "b c", "a bc"]""")),
        ["merges a text"] = ("merges is not an array", json => json["model"]!["merges"] = "a b"),
        ["merge of bytes"] = ("a merge names '<0x41>'", json => json["model"]!["merges"]!.AsArray().Add("<0x41> a")),
        ["merge of marks"] = ("a merge names '<s>'", json => json["model"]!["merges"]!.AsArray().Add("<s> a")),
        ["added token of another's id"] = ("the added token '<x>' has the id 260", json => Added(json, 260, "<x>")),
        ["added token leaves a gap"] = ("the added token '<x>' has the id 900", json => Added(json, 900, "<x>")),
        ["added token negative"] = ("the added token '<x>' has the id -1", json => Added(json, -1, "<x>")),
        ["added token twice"] = ("two added tokens have the id 0", json => Added(json, 0, "<unk>")),
        ["added token without id"] = ("has no id", json => json["added_tokens"]!.AsArray().Add(new JsonObject())),
        ["added tokens a number"] = ("added_tokens is not an array", json => json["added_tokens"] = 5),
        ["added token a number"] = ("added_tokens holds what is not an object", json => json["added_tokens"]!.AsArray().Add(5)),
    };

    private readonly TempFolder _folder = new();

    public static TheoryData<string> Names => [.. Cases.Keys];

    public void Dispose() => _folder.Dispose();

    // Scores are places here, so that they differ from sentencepiece's (whose runs of spaces all have -1e9); ids must not.
    [Fact]
    public void Read_Llama2AsTransformersConvertsIt_GivesTheIdsOfTheSentencePieceModel()
    {
        var model = SentencePieceModel.Read(Fixtures.Path("llama2-tokenizer", "tokenizer.model")).Vocabulary;
        var json = Converted(model);
        AssertSame(model, json);

        // As transformers writes it since 2024: merges are arrays of two, and Metaspace stands for the normalizer.
        var merges = json["model"]!["merges"]!.AsArray().Select(merge => new JsonArray([.. merge!.GetValue<string>().Split(' ').Select(part => JsonValue.Create(part))])).ToArray<JsonNode?>();
        json["model"]!["merges"] = new JsonArray(merges);
        (json["normalizer"], json["pre_tokenizer"]) = (null, JsonNode.Parse("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false}"""));
        AssertSame(model, json);
    }

    [Fact]
    public void Read_PiecesInAnotherOrderThanTheirIds_AreJoinedByRank()
    {
        var json = Small();
        json["model"]!["vocab"]!.AsObject().Remove("abc");
        json["model"]!["vocab"]!["c"] = 264;
        json["model"]!["merges"] = JsonNode.Parse("""["b c", "a b"]""");
        Added(json, 265, "<pad>");
        var vocabulary = ModelTokenizer.Read(_folder.Write("tokenizer.json", Encoding.UTF8.GetBytes(json.ToJsonString()))).Vocabulary;
        Assert.Equal(266, vocabulary.Count);
        Assert.Equal(PieceType.Control, vocabulary.Pieces[265].Type);
        Assert.Equal([259, 260, 262], new Tokenizer(vocabulary).Encode("abc")); // a, bc: by the ids it would be ab, c
    }

    [Theory, MemberData(nameof(Names))]
    public void Read_AHostileFile_NamesTheField(string name)
    {
        var (message, spoil) = Cases[name];
        var json = Small();
        spoil(json);
        var path = _folder.Write("tokenizer.json", Encoding.UTF8.GetBytes(json.ToJsonString()));
        var error = Assert.Throws<InvalidDataException>(() => ModelTokenizer.Read(path));
        Assert.StartsWith($"{path}: ", error.Message);
        Assert.Contains(message, error.Message);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void Cases_AreAtLeastFifty() => Assert.InRange(Cases.Count, 50, int.MaxValue);

    [Fact]
    public void Read_EveryTruncation_IsOneClearError()
    {
        var whole = Encoding.UTF8.GetBytes(Small().ToJsonString());
        for (var length = 0; length < whole.Length; length += 7)
            Assert.StartsWith(_folder.File("t.json") + ": ", Assert.Throws<InvalidDataException>(() => ModelTokenizer.Read(_folder.Write("t.json", whole[..length]))).Message);
    }

    private void AssertSame(Vocabulary model, JsonObject json)
    {
        var read = ModelTokenizer.Read(_folder.Write("tokenizer.json", Encoding.UTF8.GetBytes(json.ToJsonString()))).Vocabulary;
        Assert.Equal(model.AddDummyPrefix, read.AddDummyPrefix);
        Assert.Equal(model.RemoveExtraWhitespaces, read.RemoveExtraWhitespaces);
        Assert.Equal(model.Pieces.Select(piece => (piece.ToString(), piece.Type)), read.Pieces.Select(piece => (piece.ToString(), piece.Type)));
        var (expected, actual) = (new Tokenizer(model), new Tokenizer(read));
        var texts = File.ReadAllText(Fixtures.Path("spm-vectors", "ggml-vocab-llama-spm.gguf.inp")).Split("\n__ggml_vocab_test__\n")
            .Append(File.ReadAllText(Fixtures.Path("tinystories", "tinystories_valid_head_794K.txt"))).Append(File.ReadAllText(Fixtures.Path("spm-train", "mixed.txt"))[..200_000]);
        foreach (var text in texts)
            Assert.Equal(expected.Encode(text), actual.Encode(text));
    }

    private static void Added(JsonObject json, int id, string text) =>
        json["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = id, ["content"] = text, ["special"] = true });

    private static void Rename(JsonObject json, string from, string to)
    {
        var vocab = json["model"]!["vocab"]!.AsObject();
        var id = vocab[from]!.GetValue<int>();
        vocab.Remove(from);
        vocab.Add(to, id);
        json["added_tokens"] = new JsonArray();
    }

    // Two ways to make abc, from id 264 on.
    private static JsonObject Small()
    {
        var json = Frame();
        var vocab = json["model"]!["vocab"]!.AsObject();
        foreach (var text in (string[])["\u2581", "a", "ab", "bc", "b", "abc", "c"])
            vocab.Add(text, vocab.Count);
        json["model"]!["merges"] = JsonNode.Parse("""["a b", "b c", "ab c", "a bc"]""");
        return json;
    }

    private static JsonObject Frame()
    {
        var json = JsonNode.Parse("""
            {"version":"1.0","truncation":null,"padding":null,"added_tokens":[],
             "normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
             "pre_tokenizer":null,"decoder":{"type":"Sequence","decoders":[]},
             "model":{"type":"BPE","dropout":null,"unk_token":"<unk>","continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":true,"vocab":{},"merges":[]}}
            """)!.AsObject();
        var vocab = json["model"]!["vocab"]!.AsObject();
        foreach (var mark in (string[])["<unk>", "<s>", "</s>"])
        {
            Added(json, vocab.Count, mark);
            vocab.Add(mark, vocab.Count);
        }
        for (var value = 0; value < 256; value++)
            vocab.Add($"<0x{value:X2}>", vocab.Count);
        return json;
    }

    // What transformers' convert_slow_tokenizer makes of a sentencepiece BPE: every split of a piece into two pieces, the best pieces first.
    private static JsonObject Converted(Vocabulary vocabulary)
    {
        var json = Frame();
        var texts = vocabulary.Pieces.Select(piece => piece.ToString().Replace(' ', '\u2581')).ToList();
        var ids = texts.Select((text, id) => (text, id)).Skip(Vocabulary.FirstText).ToDictionary(pair => pair.text, pair => pair.id);
        var merges = new List<(string Left, string Right, float Score)>();
        foreach (var (text, id) in ids)
        {
            json["model"]!["vocab"]!.AsObject().Add(text, id);
            merges.AddRange(Enumerable.Range(1, text.Length - 1).Where(at => ids.ContainsKey(text[..at]) && ids.ContainsKey(text[at..]))
                .Select(at => (text[..at], text[at..], vocabulary.Pieces[id].Score)).OrderBy(merge => ids[merge.Item1]));
        }
        json["model"]!["merges"] = new JsonArray([.. merges.OrderByDescending(merge => merge.Score).Select(merge => JsonValue.Create($"{merge.Left} {merge.Right}"))]);
        return json;
    }
}
