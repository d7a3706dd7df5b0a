using LlamaFullstack.Core.Formats;
using LlamaFullstack.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

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

    /// <summary>How badly a model foretells a sequence: the sum of -log p over every token but the first.</summary>
    /// <param name="model">The model, in evaluation mode.</param>
    /// <param name="tokens">At most one more than the model's context.</param>
    /// <returns>In nats.</returns>
    public static double SumOfLosses(this Transformer model, long[] tokens)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var count = tokens.Length - 1;
        var device = model.Parameters.Values.First().device;
        return model.Loss(tensor(tokens[..^1], [1, count], device: device), tensor(tokens[1..], [1, count], device: device)).ToDouble() * count;
    }
}
