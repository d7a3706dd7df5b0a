using LlamaFullstack.Inference;

namespace LlamaFullstack.Run;

/// <summary>The model file that a person named, for the engine.</summary>
public static class ModelFile
{
    /// <summary>Opens it. A checkpoint is refused as what it is, and not by what its bytes would mean in a model file; a run's folder by the name of its model.</summary>
    /// <exception cref="IOException">The file cannot be read, or is a folder.</exception>
    /// <exception cref="InvalidDataException">It is a checkpoint, or no model file, or damaged.</exception>
    public static LlamaModel Open(string path)
    {
        if (Path.GetExtension(path) is ".safetensors" or ".pt" or ".pth" && File.Exists(path))
            throw new InvalidDataException($"{path}: a checkpoint, not a model file. Make one of it: llamafs export model.bin --checkpoint {path}");
        try
        {
            return LlamaModel.Open(path);
        }
        catch (IOException e) when (Path.Combine(path, "model.bin") is var model && File.Exists(model))
        {
            throw new IOException($"{e.Message} Its model is {model}.", e);
        }
    }
}
