using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Core.Formats;

/// <summary>The tokenizer inside a GGUF file: sentencepiece's pieces, scores and types as metadata.</summary>
public static class GgufVocabulary
{
    /// <summary>Says which kind of tokenizer it is.</summary>
    public const string ModelKey = "tokenizer.ggml.model";

    /// <summary>The kind of Llama 2: sentencepiece's byte pair encoding.</summary>
    public const string Model = "llama";

    /// <summary>The pieces in UTF-8, a space written as U+2581.</summary>
    public const string Tokens = "tokenizer.ggml.tokens";

    /// <summary>Their scores.</summary>
    public const string Scores = "tokenizer.ggml.scores";

    /// <summary>Their types, by the numbers of <see cref="PieceType"/>.</summary>
    public const string Types = "tokenizer.ggml.token_type";

    /// <summary>Whether a text begins with BOS; true where it is missing.</summary>
    public const string AddBos = "tokenizer.ggml.add_bos_token";

    /// <summary>Whether a text ends with EOS; false where it is missing. Ours to write; generation never looks at it.</summary>
    public const string AddEos = "tokenizer.ggml.add_eos_token";

    /// <summary>The dummy prefix; true where it is missing.</summary>
    public const string AddSpacePrefix = "tokenizer.ggml.add_space_prefix";

    /// <summary>Whether extra spaces are removed; false where it is missing.</summary>
    public const string RemoveExtraWhitespaces = "tokenizer.ggml.remove_extra_whitespaces";

    /// <summary>The marks' ids, each with the only value that every Llama 2 vocabulary has.</summary>
    public static readonly IReadOnlyList<(string Key, int Id)> Marks =
    [
        ("tokenizer.ggml.bos_token_id", Vocabulary.Bos),
        ("tokenizer.ggml.eos_token_id", Vocabulary.Eos),
        ("tokenizer.ggml.unknown_token_id", Vocabulary.Unk),
    ];

    private static readonly byte[] SpaceSymbol = [0xE2, 0x96, 0x81]; // U+2581

    /// <summary>Reads the tokenizer of a GGUF file.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, has no tokenizer, or has one of another kind than Llama 2's.</exception>
    public static Vocabulary Read(string path)
    {
        using var file = GgufFile.Open(path);
        return Read(file);
    }

    /// <inheritdoc cref="Read(string)"/>
    public static Vocabulary Read(GgufFile file)
    {
        var (metadata, path) = (file.Metadata, file.Map.Path);
        if (!metadata.Has(Tokens))
            throw new InvalidDataException($"{path}: holds no tokenizer ({Tokens}). Name the model's own with -z.");
        if (metadata.Text(ModelKey) is var model && model != Model)
            throw new InvalidDataException($"{path}: {ModelKey} is {PlainText.Quote(model ?? "")}, but only sentencepiece's, {PlainText.Quote(Model)}, is supported. Name another tokenizer with -z.");
        foreach (var (key, id) in Marks)
            if (metadata.Whole(key) is { } found && found != id)
                throw new InvalidDataException($"{path}: {key} is {found}, but Llama 2's is {id}.");
        if (metadata.Flag(AddBos) == false)
            throw new InvalidDataException($"{path}: {AddBos} is false, but every text begins with BOS here.");

        var count = metadata.Length(Tokens)!.Value;
        // Before the pieces are made: the embedding, which lies in the file, bounds how many there can be.
        if (file.Find(GgufNames.Of(TensorNames.TokEmbeddings)) is { } embedding && embedding.Shape[0] != count)
            throw new InvalidDataException($"{path}: {Tokens} has {count:N0} tokens, but {embedding.Name} has {embedding.Shape[0]:N0} rows.");
        foreach (var key in (ReadOnlySpan<string>)[Scores, Types])
            if (metadata.Length(key) is var length && length != count)
                throw new InvalidDataException($"{path}: {key} has {length ?? 0:N0} elements, but {Tokens} has {count:N0}.");
        var scores = metadata.Fractions(Scores);
        var types = metadata.Wholes(Types);
        var pieces = new List<Piece>(count);
        foreach (var text in metadata.Texts(Tokens))
            pieces.Add(MakePiece(path, pieces.Count, text, scores[pieces.Count], (PieceType)types[pieces.Count]));
        return new Vocabulary
        {
            Pieces = pieces,
            AddDummyPrefix = metadata.Flag(AddSpacePrefix) ?? true,
            RemoveExtraWhitespaces = metadata.Flag(RemoveExtraWhitespaces) ?? false,
        }.Validated(path);
    }

    /// <summary>A piece's text as the file has it: U+2581 for each space.</summary>
    public static byte[] StoredText(Piece piece)
    {
        var text = new List<byte>();
        foreach (var b in piece.Text.Span)
            text.AddRange(b == (byte)' ' ? SpaceSymbol : [b]);
        return [.. text];
    }

    private static Piece MakePiece(string path, int id, byte[] stored, float score, PieceType type)
    {
        if (type is < PieceType.Normal or > PieceType.Byte)
            throw new InvalidDataException($"{path}: {Types} of token {id} is {(int)type}, which sentencepiece does not have.");
        if (float.IsNaN(score))
            throw new InvalidDataException($"{path}: {Scores} of token {id} is not a number.");
        return new Piece(SentencePieceModel.WithSpaces(stored), score, type);
    }
}
