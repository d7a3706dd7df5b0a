namespace LlamaFullstack.Core;

/// <summary>Holds what a file has against what its configuration says it must have.</summary>
public static class TensorCheck
{
    /// <summary>Makes sure that every tensor of the model is there in its right shape.</summary>
    /// <param name="path">The file, for the message.</param>
    /// <param name="config">The model's shape.</param>
    /// <param name="sharedClassifier">Whether the classifier is the embedding.</param>
    /// <param name="shapeOf">A tensor's dimensions in the file, by its name in <see cref="TensorNames"/>; null where it has none.</param>
    /// <exception cref="InvalidDataException">A tensor is missing, or has another shape.</exception>
    public static void Shapes(string path, LlamaConfig config, bool sharedClassifier, Func<string, IReadOnlyList<long>?> shapeOf)
    {
        foreach (var tensor in TensorNames.All(config, sharedClassifier))
        {
            var shape = shapeOf(tensor.Name) ?? throw new InvalidDataException($"{path}: the tensor {tensor.Name} is missing.");
            long[] expected = tensor.IsVector ? [tensor.Cols] : [tensor.Rows, tensor.Cols];
            if (!shape.SequenceEqual(expected))
                throw new InvalidDataException(
                    $"{path}: {tensor.Name} has the shape ({string.Join(", ", shape)}), expected ({string.Join(", ", expected)}) from the configuration.");
        }
    }
}
