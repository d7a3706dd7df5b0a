namespace LlamaFullstack.Core;

/// <summary>A model's weights, wherever they lie: a checkpoint, a .bin file, another project's folder, a model in memory.</summary>
public interface ITensorSource
{
    /// <summary>The model's shape.</summary>
    LlamaConfig Config { get; }

    /// <summary>Whether the classifier is the embedding itself.</summary>
    bool SharedClassifier { get; }

    /// <summary>Copies rows of a tensor as float32. Several threads may read at once.</summary>
    /// <param name="name">One of <see cref="TensorNames"/>.</param>
    /// <param name="start">The first value: a row's beginning, counted from the tensor's first value.</param>
    /// <param name="destination">Whole rows; a vector is one.</param>
    /// <exception cref="InvalidDataException">The source lacks the tensor, or has it in another shape.</exception>
    void Read(string name, long start, Span<float> destination);

    /// <summary>How the source holds a tensor; float32 where it does not say.</summary>
    /// <param name="name">As for <see cref="Read"/>.</param>
    TensorStorage StorageOf(string name) => new("F32", TensorNames.All(Config, sharedClassifier: false).First(tensor => tensor.Name == name).Length * sizeof(float));
}

/// <summary>Whole tensors of a source.</summary>
public static class TensorSources
{
    /// <summary>Copies a tensor as float32, row by row.</summary>
    /// <param name="source">The weights.</param>
    /// <param name="name">One of <see cref="TensorNames"/>.</param>
    /// <param name="destination">As long as the tensor.</param>
    /// <exception cref="InvalidDataException">The source lacks the tensor, or has it in another shape.</exception>
    public static void Read(this ITensorSource source, string name, Span<float> destination) => source.Read(name, 0, destination);

    /// <summary>The name under which a source has a tensor: the classifier may be the embedding.</summary>
    public static string NameHeld(this ITensorSource source, string name) => name == TensorNames.Output && source.SharedClassifier ? TensorNames.TokEmbeddings : name;
}

/// <summary>How a file holds a tensor.</summary>
/// <param name="Type">The type of its values, by the format's own name.</param>
/// <param name="Bytes">Its size.</param>
public readonly record struct TensorStorage(string Type, long Bytes);
