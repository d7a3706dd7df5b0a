using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Core.Formats;

/// <summary>The tokenizer of a model: where it lies, and that it fits.</summary>
public static class TokenizerFile
{
    /// <summary>The name that a tokenizer has beside its model.</summary>
    public const string DefaultName = "tokenizer.bin";

    /// <summary>Reads the tokenizer of a model: the named file, else the model's own where it is a GGUF file, else tokenizer.bin beside it, else tokenizer.bin in the current folder.</summary>
    /// <param name="named">A tokenizer.bin, a sentencepiece .model or a GGUF file; null or empty to search.</param>
    /// <param name="modelPath">The model.</param>
    /// <param name="vocabSize">The number of tokens that the model knows.</param>
    /// <exception cref="IOException">There is none, or it cannot be read.</exception>
    /// <exception cref="InvalidDataException">It is damaged, or it has another number of pieces: it belongs to another model.</exception>
    public static Vocabulary Read(string? named, string modelPath, int vocabSize)
    {
        var path = string.IsNullOrEmpty(named) ? Find(modelPath) : named;
        return Fitting(path, Read(path), modelPath, vocabSize);
    }

    /// <summary>The same vocabulary, once it is known to have as many pieces as a model knows.</summary>
    /// <param name="path">Where it came from, for the message.</param>
    /// <param name="vocabulary">The vocabulary.</param>
    /// <param name="modelPath">The model, for the message.</param>
    /// <param name="vocabSize">The number of tokens that the model knows.</param>
    /// <exception cref="InvalidDataException">It belongs to another model.</exception>
    public static Vocabulary Fitting(string path, Vocabulary vocabulary, string modelPath, int vocabSize) =>
        vocabulary.Count == vocabSize ? vocabulary : throw new InvalidDataException(
            $"{path}: has {vocabulary.Count:N0} tokens, but {modelPath} was trained with {vocabSize:N0}. Name the model's own tokenizer with -z.");

    /// <summary>Reads a tokenizer.bin, a sentencepiece model (by its name, .model) or the tokenizer of a GGUF file (by its content).</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, or is no tokenizer.</exception>
    public static Vocabulary Read(string path) =>
        Path.GetExtension(path) == ".model" ? SentencePieceModel.Read(path).Vocabulary
        : GgufFile.Recognises(path) ? GgufVocabulary.Read(path)
        : TokenizerBin.Read(path);

    private static string Find(string modelPath)
    {
        if (GgufFile.Recognises(modelPath))
            return modelPath;
        var beside = Path.Combine(Path.GetDirectoryName(modelPath) ?? "", DefaultName);
        return File.Exists(beside) ? beside
            : File.Exists(DefaultName) ? DefaultName
            : throw new FileNotFoundException($"{modelPath}: no {DefaultName} beside it, nor in this folder. Name the model's tokenizer with -z.");
    }
}
