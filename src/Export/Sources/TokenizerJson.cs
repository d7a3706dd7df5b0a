using System.Text;
using System.Text.Json;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Export.Sources;

/// <summary>Hugging Face's tokenizer.json, where it is sentencepiece's byte pair encoding as Llama 2 has it. What is of another kind is refused by what differs.</summary>
/// <remarks>
/// There a pair of pieces has a rank; in sentencepiece, and here, a piece has a score. Both give the same ids where any two pieces that make a third
/// are a merge, and where all merges that make one piece stand together: both are checked. Scores are then the order in which pieces come about,
/// which are sentencepiece's own scores for what it has trained.
/// </remarks>
internal static class TokenizerJson
{
    // Llama 2's has 2 to 4 MB, and no piece of more than 16 characters; Llama 3's, which is refused by name, has 9 MB.
    private const long MaxLength = 10 << 20;
    private const int MaxPieceLength = 128;

    private const string Space = "\u2581";

    private static readonly string[] Marks = ["<unk>", "<s>", "</s>"];

    /// <summary>Reads a tokenizer.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, or its tokenizer is of another kind.</exception>
    public static Vocabulary Read(string path)
    {
        var json = ForeignJson.Read(path, MaxLength);
        var model = json.Object("model") ?? throw json.Bad("not a tokenizer: it has no \"model\"");
        var addsSpace = ReadSpaces(json);
        Refuse(json, model);
        var texts = ReadTexts(json, model);
        var added = ReadAdded(json, texts);
        var order = new MergeOrder(json, texts, added.Keys).Read(model);
        return new Vocabulary
        {
            AddDummyPrefix = addsSpace,
            Pieces = [.. texts.Select((text, id) => new Piece(Encoding.UTF8.GetBytes(text.Replace(Space, " ")), -order[id], TypeOf(id, text, added)))],
        }.Validated(path);
    }

    private static PieceType TypeOf(int id, string text, Dictionary<int, bool> added) => id switch
    {
        Vocabulary.Unk => PieceType.Unknown,
        Vocabulary.Bos or Vocabulary.Eos => PieceType.Control,
        _ when added.TryGetValue(id, out var special) => special ? PieceType.Control : PieceType.UserDefined,
        _ => Tokenizer.TryParseByte(Encoding.UTF8.GetBytes(text), out _) ? PieceType.Byte : PieceType.Normal,
    };

    /// <summary>How spaces become U+2581.</summary>
    /// <returns>Whether one is put in front of the text.</returns>
    private static bool ReadSpaces(ForeignJson json)
    {
        var (replaced, prepended) = (false, false);
        foreach (var step in Steps(json, "normalizer", "normalizers"))
        {
            if (step.Text("type") == "Replace" && step.Object("pattern")?.Text("String") == " " && step.Text("content") == Space)
                replaced = true;
            else if (step.Text("type") == "Prepend" && step.Text("prepend") == Space)
                prepended = true;
            else
                throw json.Bad($"its normalizer {PlainText.Quote(step.Text("type"))} changes text in a way that the formats here cannot express");
        }
        foreach (var step in Steps(json, "pre_tokenizer", "pretokenizers"))
        {
            if (step.Text("type") == "ByteLevel" || (step.Text("type") == "Split" && json.Text("decoder").Contains("ByteLevel", StringComparison.Ordinal)))
                throw json.Bad("a byte-level BPE, as Llama 3's and GPT-2's are, which the formats here cannot express");
            if (step.Text("type") != "Metaspace" || step.Text("replacement") != Space || step.Find("split") is not { ValueKind: JsonValueKind.False })
                throw json.Bad($"its pre_tokenizer {PlainText.Quote(step.Text("type"))} splits text in a way that the formats here cannot express");
            replaced = true;
            prepended |= step.Text("prepend_scheme", step.Text("add_prefix_space", "True") == "True" ? "always" : "never") != "never";
        }
        return replaced ? prepended : throw json.Bad($"its normalizer does not make {PlainText.Quote(Space)} of a space, as sentencepiece does");
    }

    // One step, or a sequence of them.
    private static IEnumerable<ForeignJson> Steps(ForeignJson json, string name, string sequence)
    {
        if (json.Object(name) is not { } step)
            yield break;
        if (step.Text("type") != "Sequence")
            yield return step;
        else
            foreach (var part in step.Objects(sequence))
                yield return part;
    }

    private static void Refuse(ForeignJson json, ForeignJson model)
    {
        // A file of before 2021 does not say the type of a BPE.
        if (model.Text("type", "BPE") is var type and not "BPE")
            throw json.Bad($"its model is of the type {PlainText.Quote(type)}, but BPE is the one that Llama uses");
        if (!model.Flag("byte_fallback"))
            throw json.Bad("byte_fallback is not true: its pieces are not sentencepiece's, as Llama 2's are");
        if (model.Flag("ignore_merges"))
            throw json.Bad("ignore_merges is true, which the formats here cannot express");
        if (model.Fraction("dropout", 0) != 0)
            throw json.Bad("dropout is set, which is not supported");
        foreach (var affix in (ReadOnlySpan<string>)["continuing_subword_prefix", "end_of_word_suffix"])
            if (model.Text(affix).Length > 0)
                throw json.Bad($"{affix} {PlainText.Quote(model.Text(affix))} is not supported");
    }

    private static List<string> ReadTexts(ForeignJson json, ForeignJson model)
    {
        var vocab = model.Object("vocab") ?? throw json.Bad("its model has no vocab");
        var texts = new string?[vocab.Root.GetPropertyCount()];
        foreach (var piece in vocab.Root.EnumerateObject())
        {
            if (piece.Value.ValueKind != JsonValueKind.Number || !piece.Value.TryGetInt32(out var id) || id < 0 || id >= texts.Length)
                throw json.Bad($"the piece {PlainText.Quote(piece.Name)} has the id {PlainText.Quote(piece.Value.ToString())}, expected 0 to {texts.Length - 1}");
            if (texts[id] is { } other)
                throw json.Bad($"the pieces {PlainText.Quote(other)} and {PlainText.Quote(piece.Name)} have the same id {id}");
            if (piece.Name.Length is 0 or > MaxPieceLength)
                throw json.Bad($"the piece {PlainText.Quote(piece.Name)} has {piece.Name.Length:N0} characters, expected 1 to {MaxPieceLength}");
            texts[id] = piece.Name;
        }
        for (var id = 0; id < Marks.Length; id++)
            if (id >= texts.Length || texts[id] != Marks[id])
                throw json.Bad($"token {id} is {PlainText.Quote(id < texts.Length ? texts[id]! : "")}, expected {Marks[id]}");
        return [.. texts.Select(text => text!)]; // as many pieces as ids, none of them twice
    }

    /// <summary>Tokens that are never split, some of them after the pieces.</summary>
    /// <returns>For each id whether it is a mark.</returns>
    private static Dictionary<int, bool> ReadAdded(ForeignJson json, List<string> texts)
    {
        var added = new Dictionary<int, bool>();
        foreach (var token in json.Objects("added_tokens").OrderBy(token => token.Number("id")))
        {
            var (id, text) = (token.Number("id"), token.Text("content"));
            if (id == texts.Count)
                texts.Add(text);
            else if (id < 0 || id > texts.Count || texts[id] != text)
                throw json.Bad($"the added token {PlainText.Quote(text)} has the id {id}, which is another's or leaves a gap");
            if (!added.TryAdd(id, token.Flag("special")))
                throw json.Bad($"two added tokens have the id {id}");
        }
        return added;
    }

    /// <summary>In which order pieces come about: what sentencepiece says by scores.</summary>
    private sealed class MergeOrder(ForeignJson json, List<string> texts, IReadOnlyCollection<int> added)
    {
        private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
        private readonly HashSet<(int Left, int Right)> _merges = [];
        private readonly int[] _order = new int[texts.Count];
        private readonly bool[] _comesAbout = new bool[texts.Count];

        /// <summary>Reads the merges.</summary>
        /// <returns>For each id its place; marks and bytes have 0, pieces that no merge makes come last.</returns>
        public int[] Read(ForeignJson model)
        {
            for (var id = Vocabulary.FirstText; id < texts.Count; id++)
                if (!added.Contains(id))
                    _ids.Add(texts[id], id);
            var (place, latest) = (0, -1);
            foreach (var merge in model.Elements("merges"))
            {
                var (left, right) = Pair(merge);
                var union = IdOf(texts[left] + texts[right]);
                if (!_merges.Add((left, right)))
                    throw json.Bad($"the merge {Name(left, right)} stands twice");
                if (union == latest)
                    continue;
                if (_comesAbout[union])
                    throw json.Bad($"the merges that make {PlainText.Quote(texts[union])} do not stand together, so that no score of the piece can express them. Take the tokenizer.model that it was made from");
                (_comesAbout[union], _order[union], latest) = (true, place++, union);
            }
            for (var id = Vocabulary.FirstText; id < texts.Count; id++)
                if (!_comesAbout[id])
                    _order[id] = place++;
            CheckAllPairs();
            return _order;
        }

        private (int Left, int Right) Pair(JsonElement merge)
        {
            string?[] parts = merge.ValueKind == JsonValueKind.String ? merge.GetString()!.Split(' ')
                : merge.ValueKind == JsonValueKind.Array ? [.. merge.EnumerateArray().Select(part => part.ToString())]
                : [];
            return parts is [{ } left, { } right] ? (IdOf(left), IdOf(right)) : throw json.Bad($"the merge {PlainText.Quote(merge.ToString())} is not two pieces");
        }

        private int IdOf(string text) => _ids.TryGetValue(text, out var id) ? id : throw json.Bad($"a merge names {PlainText.Quote(text)}, which is no piece");

        // With scores any two pieces are joined if that makes a piece.
        private void CheckAllPairs()
        {
            foreach (var (text, _) in _ids)
                for (var at = 1; at < text.Length; at++)
                    if (!char.IsLowSurrogate(text[at]) && _ids.TryGetValue(text[..at], out var left) && _ids.TryGetValue(text[at..], out var right)
                        && !_merges.Contains((left, right)))
                        throw json.Bad($"{Name(left, right)} make a piece but are no merge, which scores cannot express. Take the tokenizer.model that it was made from");
        }

        private string Name(int left, int right) => $"{PlainText.Quote(texts[left])} {PlainText.Quote(texts[right])}";
    }
}
