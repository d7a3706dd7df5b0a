using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export.Sources;

/// <summary>Copies rows of a tensor as float32, from the value at <paramref name="start"/> on.</summary>
internal delegate void TensorReader(long start, Span<float> destination);

/// <summary>A tensor under the name that its file gives it.</summary>
/// <param name="Path">The file that holds it.</param>
/// <param name="Shape">Its dimensions.</param>
/// <param name="Storage">How the file holds it.</param>
/// <param name="Read">Copies its values.</param>
internal sealed record ForeignTensor(string Path, IReadOnlyList<long> Shape, TensorStorage Storage, TensorReader Read);

/// <summary>The tensors of one or more files of safetensors or of torch.save, as if they were one file.</summary>
internal sealed class WeightFiles : IDisposable
{
    private readonly List<IDisposable> _files = [];
    private readonly Dictionary<string, ForeignTensor> _tensors = new(StringComparer.Ordinal);

    /// <summary>Every tensor by name.</summary>
    public IReadOnlyDictionary<string, ForeignTensor> Tensors => _tensors;

    /// <summary>Opens files.</summary>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="InvalidDataException">A file is damaged or hostile, or two files have a tensor of the same name.</exception>
    public static WeightFiles Open(IEnumerable<string> paths)
    {
        var files = new WeightFiles();
        try
        {
            foreach (var path in paths)
                files.Add(path);
            return files;
        }
        catch
        {
            files.Dispose();
            throw;
        }
    }

    /// <summary>Closes all files.</summary>
    public void Dispose() => _files.ForEach(file => file.Dispose());

    private void Add(string path)
    {
        bool isTorch;
        using (var file = MappedFile.Open(path))
            isTorch = TorchFile.Recognises(file);
        if (isTorch)
            AddTorch(TorchFile.Open(path));
        else
            AddSafetensors(SafetensorsFile.Open(path));
    }

    private void AddSafetensors(SafetensorsFile file)
    {
        _files.Add(file);
        foreach (var tensor in file.Tensors)
            Add(tensor.Name, new ForeignTensor(file.Path, tensor.Shape, new(tensor.Dtype, tensor.ByteLength), (start, destination) => file.ReadFloats(tensor.Name, start, destination)));
    }

    private void AddTorch(TorchFile file)
    {
        _files.Add(file);
        if (file.Root is not PickleDict root)
            throw new InvalidDataException($"{file.Path}: not a dictionary of tensors.");
        foreach (var (name, value) in root)
        {
            if (value is not TorchTensor tensor)
                throw new InvalidDataException($"{file.Path}: {PlainText.Quote(name)} is not a tensor.");
            Add(name, new ForeignTensor(file.Path, tensor.Shape, tensor.Held, (start, destination) => file.ReadRows(tensor, start, destination)));
        }
    }

    private void Add(string name, ForeignTensor tensor)
    {
        if (!_tensors.TryAdd(name, tensor))
            throw new InvalidDataException($"{tensor.Path}: {PlainText.Quote(name)} is in {_tensors[name].Path}, too.");
    }
}
