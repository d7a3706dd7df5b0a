namespace LlamaFullstack.Core;

/// <summary>A model's weights, wherever they lie: a checkpoint, a .bin file, another project's folder, a model in memory.</summary>
public interface ITensorSource
{
    /// <summary>The model's shape.</summary>
    LlamaConfig Config { get; }

    /// <summary>Whether the classifier is the embedding itself.</summary>
    bool SharedClassifier { get; }

    /// <summary>Copies a tensor as float32, row by row.</summary>
    /// <param name="name">One of <see cref="TensorNames"/>.</param>
    /// <param name="destination">As long as the tensor.</param>
    /// <exception cref="InvalidDataException">The source lacks the tensor, or has it in another shape.</exception>
    void Read(string name, Span<float> destination);
}
