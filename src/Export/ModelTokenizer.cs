using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Export.Sources;

namespace LlamaFullstack.Export;

/// <summary>The tokenizer of a model of any format: where it lies, and what it becomes beside what is written.</summary>
/// <param name="Path">The file that it came from.</param>
/// <param name="Vocabulary">Its pieces and rules.</param>
public sealed record ModelTokenizer(string Path, Vocabulary Vocabulary)
{
    private const string SentencePieceName = "tokenizer.model";

    // In a model's folder, in this order: the one that is made here, sentencepiece's, Hugging Face's.
    private static readonly string[] Names = [TokenizerFile.DefaultName, SentencePieceName, "tokenizer.json"];

    /// <summary>Reads a tokenizer.bin, a sentencepiece .model, the tokenizer of a GGUF file, or a tokenizer.json.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, or its tokenizer is of another kind than Llama 2's.</exception>
    public static ModelTokenizer Read(string path) =>
        new(path, System.IO.Path.GetExtension(path) == ".json" ? TokenizerJson.Read(path) : TokenizerFile.Read(path));

    /// <summary>The tokenizer of a model.</summary>
    /// <param name="named">The file; null or empty for the one that lies with the model, else tokenizer.bin in the current folder.</param>
    /// <param name="model">The model.</param>
    /// <exception cref="IOException">There is none, or it cannot be read.</exception>
    /// <exception cref="InvalidDataException">It is damaged, of another kind than Llama 2's, or another model's.</exception>
    public static ModelTokenizer Of(string? named, ModelSource model) =>
        ReadFitting(!string.IsNullOrEmpty(named) ? named
            : FindWith(model.Path) ?? (File.Exists(TokenizerFile.DefaultName) ? TokenizerFile.DefaultName
            : throw new FileNotFoundException($"{model.Path}: no tokenizer ({string.Join(", ", Names)}) beside it, nor {TokenizerFile.DefaultName} in this folder. Name the model's tokenizer with -z.")), model);

    /// <summary>The tokenizer that lies with a model; null where there is none.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="InvalidDataException">It is damaged, of another kind than Llama 2's, or another model's.</exception>
    public static ModelTokenizer? FindOf(ModelSource model) => FindWith(model.Path) is { } path ? ReadFitting(path, model) : null;

    /// <summary>Writes tokenizer.bin beside a model file, so that it runs as it is. One that is there is never replaced.</summary>
    /// <param name="modelPath">The model file.</param>
    /// <returns>What was written; null where the same tokenizer is there already.</returns>
    /// <exception cref="IOException">Another model's tokenizer is there, or the file cannot be written.</exception>
    public string? WriteBeside(string modelPath)
    {
        var target = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(modelPath) ?? "", TokenizerFile.DefaultName);
        if (!File.Exists(target))
        {
            TokenizerBin.Write(target, Vocabulary);
            return target;
        }
        return IsSame(target) ? null : throw new IOException(
            $"{target}: is there already and is another model's, so it stays. Write to another folder, or run this model with -z {Path}.");
    }

    /// <summary>The same as a sentencepiece model.</summary>
    internal SentencePieceModel ToSentencePiece() => System.IO.Path.GetExtension(Path) == ".model"
        ? SentencePieceModel.Read(Path)
        : SentencePieceModel.Trained(Vocabulary, new SentencePieceTraining("", "tokenizer", CharacterCoverage: 1, NumThreads: 1));

    private static ModelTokenizer ReadFitting(string path, ModelSource model)
    {
        var tokenizer = Read(path);
        TokenizerFile.Fitting(path, tokenizer.Vocabulary, model.Path, model.Tensors.Config.VocabSize);
        return tokenizer;
    }

    private static string? FindWith(string model)
    {
        if (GgufFile.Recognises(model))
            return model;
        var folder = Directory.Exists(model) ? model : System.IO.Path.GetDirectoryName(model) ?? "";
        IEnumerable<string> places = Names.Select(name => System.IO.Path.Combine(folder, name));
        if (MetaFolder.Recognises(model))
            places = places.Append(System.IO.Path.Combine(folder, "..", SentencePieceName)); // as Llama 1 and 2 are downloaded: one for all sizes
        return places.FirstOrDefault(File.Exists);
    }

    private bool IsSame(string path)
    {
        var other = TokenizerBin.Read(path).Pieces;
        return other.Count == Vocabulary.Count && other.Zip(Vocabulary.Pieces).All(pair => pair.First.Score == pair.Second.Score && pair.First.Text.Span.SequenceEqual(pair.Second.Text.Span));
    }
}
