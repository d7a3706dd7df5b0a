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

    /// <summary>Opens a checkpoint of this project, a ckpt.pt of llama2.c, a model file of version 0, 1 or 2, or a folder of Hugging Face's or of Meta's.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, hostile, or of no format that is known.</exception>
    public static ModelSource Open(string path)
    {
        if (Directory.Exists(path))
            return HuggingFaceFolder.Recognises(path) ? OpenHuggingFace(path)
                : MetaFolder.Recognises(path) ? OpenMeta(path)
                : throw new InvalidDataException(
                    $"{path}: a folder without {HuggingFaceFolder.ConfigName} and {MetaFolder.ParamsName}, so neither a model of Hugging Face's nor of Meta's.");

        bool isTorch, isSafetensors;
        using (var file = MappedFile.Open(path))
        {
            isTorch = TorchFile.Recognises(file);
            isSafetensors = IsSafetensors(file);
        }
        if (isTorch)
            return Make(path, "llama2.c checkpoint", LlamaCheckpointPt.Open(path));
        if (isSafetensors)
            return Make(path, "llamafs checkpoint", NativeCheckpoint.Open(path));
        var model = ModelBinFile.Open(path);
        return Make(path, $"llama2.c model, version {model.Header.Version}", model);
    }

    /// <summary>Opens a folder of Hugging Face's.</summary>
    /// <inheritdoc cref="Open"/>
    public static ModelSource OpenHuggingFace(string path) => Make(path, "Hugging Face folder", HuggingFaceFolder.Open(path));

    /// <summary>Opens a folder of Meta's.</summary>
    /// <inheritdoc cref="Open"/>
    public static ModelSource OpenMeta(string path) => Make(path, "Meta folder", MetaFolder.Open(path));

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();

    private static ModelSource Make<T>(string path, string format, T source) where T : ITensorSource, IDisposable => new(path, format, source, source);

    // A length, which may be damaged, and a JSON object. (In a version 0 file this is n_layers, of more than 2,000 then: beyond any model that is read.)
    private static bool IsSafetensors(MappedFile file) =>
        file.Length >= sizeof(ulong) + 2 && file.Read<uint>(0) != ModelBinHeader.Magic && file.Span(sizeof(ulong), 2) is [(byte)'{', (byte)'"' or (byte)'}' or (byte)' '];
}
