using LlamaFullstack.Core;

namespace LlamaFullstack.Tests;

/// <summary>A model of random weights in memory.</summary>
internal sealed class RandomModel : ITensorSource
{
    private readonly Dictionary<string, float[]> _tensors = [];

    public RandomModel(LlamaConfig config, bool sharedClassifier, int seed)
    {
        Config = config;
        SharedClassifier = sharedClassifier;
        var random = new Random(seed);
        foreach (var tensor in TensorNames.All(config, sharedClassifier))
        {
            var values = new float[tensor.Length];
            for (var i = 0; i < values.Length; i++)
                values[i] = tensor.IsVector ? 1 + 0.1f * (random.NextSingle() - 0.5f) : random.NextSingle() - 0.5f;
            _tensors.Add(tensor.Name, values);
        }
    }

    public LlamaConfig Config { get; }

    public bool SharedClassifier { get; }

    public float[] this[string name] => _tensors[name];

    public void Read(string name, long start, Span<float> destination) => _tensors[name].AsSpan((int)start, destination.Length).CopyTo(destination);
}
