using LlamaFullstack.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training;

/// <summary>The loss of one sequence, as the engine's evaluation counts it.</summary>
public static class SequenceLoss
{
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
