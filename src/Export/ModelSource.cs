using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Export.Sources;

namespace LlamaFullstack.Export;

/// <summary>A model's weights from a file or a folder of any format that is read here, told apart by what the file says and not by its name.</summary>
public sealed class ModelSource : IDisposable
{
    private readonly IDisposable _file;

    private ModelSource(string path, string format, ITensorSource tensors, IDisposable file)
    {
        (Path, Format, Tensors, _file) = (path, format, tensors, file);
    }

    /// <summary>The name as it was given.</summary>
    public string Path { get; }

    /// <summary>The format, for people.</summary>
    public string Format { get; }

    /// <summary>The weights. Valid until <see cref="Dispose"/>.</summary>
    public ITensorSource Tensors { get; }

    /// <summary>Opens a source whose context is taken for another than its file says: a GGUF file says what llama.cpp allows, not what the model was trained with.</summary>
    /// <param name="path">See <see cref="Open(string)"/>.</param>
    /// <param name="maxSeqLen">Positions.</param>
    /// <exception cref="InvalidDataException">As there, or no model has so many positions.</exception>
    public static ModelSource Open(string path, int maxSeqLen)
    {
        var source = Open(path);
        try
        {
            return new ModelSource(path, source.Format, new OtherContext(source.Tensors, maxSeqLen), source._file);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>Opens a checkpoint of this project, a ckpt.pt of llama2.c, a model file of version 0, 1 or 2, a GGUF file, or a folder of a training's, of Hugging Face's or of Meta's.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, hostile, or of no format that is known.</exception>
    public static ModelSource Open(string path)
    {
        if (ModelExport.CheckpointIn(path) is { } checkpoint) // a run's folder, which has a config.json of its own
            return Open(checkpoint);
        if (Directory.Exists(path))
            return HuggingFaceFolder.Recognises(path) ? Make(path, "Hugging Face folder", HuggingFaceFolder.Open(path))
                : MetaFolder.Recognises(path) ? Make(path, "Meta folder", MetaFolder.Open(path))
                : throw new InvalidDataException(
                    $"{path}: a folder without {HuggingFaceFolder.ConfigName} and {MetaFolder.ParamsName}, so neither a model of Hugging Face's nor of Meta's.");

        if (!InputFile.Exists(path) && ModelExport.CheckpointBeside(path) is { } other) // out/ckpt.pt, by llama2.c's habit, after a training of ours
            throw new FileNotFoundException($"{path}: no such file, but {other} is there.");
        bool isTorch, isSafetensors, isGguf;
        using (var file = MappedFile.Open(path))
        {
            isTorch = TorchFile.Recognises(file);
            isSafetensors = IsSafetensors(file) || path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase); // one that is damaged says so itself
            isGguf = GgufFile.Recognises(file);
        }
        if (isTorch)
            return Make(path, "llama2.c checkpoint", LlamaCheckpointPt.Open(path));
        if (isSafetensors)
            return Make(path, "llamafs checkpoint", NativeCheckpoint.Open(path));
        if (isGguf)
            return Make(path, "GGUF", GgufModel.Open(path));
        var model = ModelBinFile.Open(path);
        return Make(path, $"llama2.c model, version {model.Header.Version}", model);
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();

    private static ModelSource Make<T>(string path, string format, T source) where T : ITensorSource, IDisposable => new(path, format, source, source);

    private sealed class OtherContext(ITensorSource source, int maxSeqLen) : ITensorSource
    {
        public LlamaConfig Config { get; } = (source.Config with { MaxSeqLen = maxSeqLen }).Validated("--max_seq_len");

        public bool SharedClassifier => source.SharedClassifier;

        public void Read(string name, long start, Span<float> destination) => source.Read(name, start, destination);

        public TensorStorage StorageOf(string name) => source.StorageOf(name);
    }

    // A length, which may be damaged, and a JSON object. (In a version 0 file this is n_layers, of more than 8,000 then: beyond any model that is read.)
    private static bool IsSafetensors(MappedFile file) =>
        file.Length >= sizeof(ulong) + 2 && file.Read<uint>(0) != ModelBinHeader.Magic && file.Span(sizeof(ulong), 2) is [(byte)'{', (byte)'"' or (byte)'}' or (byte)' '];
}
