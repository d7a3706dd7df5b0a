using LlamaFullstack.Core;

namespace LlamaFullstack.Inference.Benchmarks;

/// <summary>A model of random weights, for measuring: how fast a model runs depends on its shape, not on what it learned.</summary>
/// <remarks>Matrices are uniform with a deviation of 0.02, as a model is initialised; norms are 1; the classifier is the embedding.
/// A tensor's values depend on its name and the seed alone, so they are made when asked for and never kept.</remarks>
/// <param name="config">The shape.</param>
/// <param name="seed">The same seed gives the same model.</param>
public sealed class RandomWeights(LlamaConfig config, int seed) : ITensorSource
{
    // A uniform distribution on [-a, a] has a deviation of a / sqrt(3).
    private static readonly float Reach = 0.02f * MathF.Sqrt(3);

    private const ulong Step = 0x9E3779B97F4A7C15;

    /// <inheritdoc/>
    public LlamaConfig Config => config;

    /// <inheritdoc/>
    public bool SharedClassifier => true;

    /// <inheritdoc/>
    public void Read(string name, long start, Span<float> destination)
    {
        if (name == TensorNames.Norm || name.EndsWith("_norm.weight", StringComparison.Ordinal))
        {
            destination.Fill(1);
            return;
        }
        // splitmix64 of the value's number: any part of a tensor can be made by itself.
        var state = StartOf(name) + (ulong)start * Step;
        foreach (ref var value in destination)
        {
            var mixed = state += Step;
            mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
            mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
            value = (((mixed ^ mixed >> 31) >> 40) * (2f / (1 << 24)) - 1) * Reach;
        }
    }

    /// <summary>FNV-1a of the name, from the seed.</summary>
    private ulong StartOf(string name)
    {
        var hash = 0xCBF29CE484222325 ^ (uint)seed;
        foreach (var letter in name)
            hash = (hash ^ letter) * 0x100000001B3;
        return hash;
    }
}
