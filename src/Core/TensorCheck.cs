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

    /// <summary>Makes sure that there is no tensor which nothing here reads, such as a bias or a layer more: it would change what the model says.</summary>
    /// <param name="config">The model's shape.</param>
    /// <param name="tensors">Each tensor and the file that has it.</param>
    /// <param name="nameOf">What the format calls one of <see cref="TensorNames"/>.</param>
    /// <param name="isTable">Whether a tensor is a table that is computed anew here.</param>
    /// <exception cref="InvalidDataException">There is one.</exception>
    public static void Names(LlamaConfig config, IEnumerable<(string Name, string Path)> tensors, Func<string, string> nameOf, Func<string, bool> isTable)
    {
        var known = TensorNames.All(config, sharedClassifier: false).Select(tensor => nameOf(tensor.Name)).ToHashSet();
        foreach (var (name, path) in tensors)
            if (!known.Contains(name) && !isTable(name))
                throw new InvalidDataException($"{path}: has the tensor {PlainText.Quote(name)}, which a Llama 2 model of {config.NLayers} layers does not have.");
    }
}
