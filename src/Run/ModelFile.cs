using LlamaFullstack.Inference;

namespace LlamaFullstack.Run;

/// <summary>The model file that a person named, for the engine.</summary>
public static class ModelFile
{
    /// <summary>Opens it. A checkpoint is refused as what it is, and not by what its bytes would mean in a model file.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">It is a checkpoint, or no model file, or damaged.</exception>
    public static LlamaModel Open(string path)
    {
        if (Path.GetExtension(path) is ".safetensors" or ".pt" or ".pth" && File.Exists(path))
            throw new InvalidDataException($"{path}: a checkpoint, not a model file. Make one of it: llamafs export model.bin --checkpoint {path}");
        return LlamaModel.Open(path);
    }
}
