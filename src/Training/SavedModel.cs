using LlamaFullstack.Core.Formats;
using LlamaFullstack.Training.Model;

namespace LlamaFullstack.Training;

/// <summary>Opens what training or export has written as a model in torch.</summary>
public static class SavedModel
{
    /// <summary>Loads a checkpoint (.safetensors) or a model .bin file of any version.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged or of another kind.</exception>
    public static Transformer Load(string path, ModelPlacement placement)
    {
        if (Path.GetExtension(path) == ".bin")
        {
            using var model = ModelBinFile.Open(path);
            return Transformer.Load(model, placement);
        }
        using var checkpoint = Checkpoint.Open(path);
        return Transformer.Load(checkpoint, placement);
    }
}
