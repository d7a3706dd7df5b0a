using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export.Sources;

/// <summary>A file of Python's torch.save: its values, and its tensors read from the mapped file when they are asked for.</summary>
/// <remarks>
/// Two layouts. Since PyTorch 1.6: a zip archive, uncompressed, with NAME/data.pkl (the values) and NAME/data/KEY (each storage).
/// Before: five pickles in a row (a magic number, the layout's version, the writer's machine, the values, the keys of the storages),
/// then for each key an int64 count and that many values.
/// Knows nothing of models; runs nothing that the file says (see <see cref="PickleReader"/>).
/// </remarks>
internal sealed class TorchFile : IDisposable
{
    // Bytes from which reading them is cheaper than the page faults of the mapping.
    private const int MinRead = 1 << 12;

    private static readonly Int128 LegacyMagic = Int128.Parse("1950a86a20f9469cfc6c", System.Globalization.NumberStyles.HexNumber, null);
    private const long LegacyVersion = 1001;

    private readonly MappedFile _file;
    private readonly Dictionary<string, TorchStorage> _storages = new(StringComparer.Ordinal);

    private TorchFile(MappedFile file)
    {
        _file = file;
        Root = IsZip(file) ? ReadZip() : ReadLegacy();
    }

    /// <summary>The file's name as it was given.</summary>
    public string Path => _file.Path;

    /// <summary>What was saved; for the types see <see cref="PickleReader"/>.</summary>
    public object? Root { get; }

    /// <summary>Whether a file begins as either layout does: with a zip entry, or with the pickle (PROTO 2 to 5) of a long or framed value.</summary>
    public static bool Recognises(MappedFile file) =>
        IsZip(file) || (file.Length >= 3 && file.Span(0, 3) is [0x80, >= 2 and <= 5, 0x8a or 0x95]);

    /// <summary>Opens a file and reads its values, but not the numbers inside its tensors.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, hostile, or not of PyTorch.</exception>
    public static TorchFile Open(string path)
    {
        var file = MappedFile.Open(path);
        try
        {
            return new TorchFile(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Copies a tensor's values as float32 in row-major order, whatever its strides.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="destination">As long as the tensor.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public void Read(TorchTensor tensor, Span<float> destination)
    {
        if (tensor.Length != destination.Length)
            throw new ArgumentException($"the tensor has {tensor.Length:N0} values, not {destination.Length:N0}", nameof(destination));
        if (destination.IsEmpty)
            return;

        var (run, outer) = ContiguousRun(tensor);
        Span<long> index = stackalloc long[outer];
        index.Clear();
        var at = tensor.Offset;
        for (var done = 0; done < destination.Length; done += run)
        {
            ReadRun(tensor, at, destination.Slice(done, run));
            for (var d = outer - 1; d >= 0; d--)
            {
                at += tensor.Strides[d];
                if (++index[d] < tensor.Shape[d])
                    break;
                at -= tensor.Strides[d] * tensor.Shape[d];
                index[d] = 0;
            }
        }
    }

    /// <summary>Copies rows of a matrix, or a vector, as <see cref="Read"/> does.</summary>
    /// <param name="tensor">A tensor of this file, of one or two dimensions.</param>
    /// <param name="start">The first value; at the beginning of a row.</param>
    /// <param name="destination">Whole rows.</param>
    public void ReadRows(TorchTensor tensor, long start, Span<float> destination) =>
        Read(tensor.Shape is [_, var cols] ? tensor.Rows(start / cols, destination.Length / cols) : tensor, destination);

    /// <summary>Unmaps the file.</summary>
    public void Dispose() => _file.Dispose();

    private static bool IsZip(MappedFile file) => file.Length >= sizeof(uint) && file.Read<uint>(0) == ZipDirectory.LocalSignature;

    // How many values of the last dimensions lie side by side, and how many dimensions are left around them.
    private static (int Run, int Outer) ContiguousRun(TorchTensor tensor)
    {
        long run = 1;
        var outer = tensor.Shape.Count;
        while (outer > 0 && (tensor.Shape[outer - 1] == 1 || tensor.Strides[outer - 1] == run))
            run *= tensor.Shape[--outer];
        return ((int)run, outer);
    }

    private void ReadRun(TorchTensor tensor, long first, Span<float> destination)
    {
        var offset = tensor.Storage.Bytes.Offset + first * tensor.DType.Size();
        if ((long)destination.Length * tensor.DType.Size() < MinRead)
            tensor.DType.ToFloat32(_file.Span(offset, destination.Length * tensor.DType.Size()), destination);
        else
            _file.ReadFloats(offset, tensor.DType, destination);
    }

    private object? ReadZip()
    {
        const string Values = "/data.pkl";
        var entries = ZipDirectory.Read(_file).Entries;
        var names = entries.Keys.Where(name => name.EndsWith(Values, StringComparison.Ordinal)).ToList();
        if (names.Count != 1)
            throw Bad($"a zip archive with {names.Count} files called data.pkl, expected one: it was not written by torch.save");
        var folder = names[0][..^Values.Length];
        if (entries.TryGetValue($"{folder}/byteorder", out var order) && !_file.Span(order.Offset, (int)Math.Min(order.Length, 6)).SequenceEqual("little"u8))
            throw Bad("its numbers are not little-endian. Save it on a little-endian machine");

        return ReadPickle(entries[names[0]], out _, id =>
        {
            var storage = FindStorage(id);
            var name = $"{folder}/data/{storage.Key}";
            if (!entries.TryGetValue(name, out var bytes))
                throw new InvalidDataException($"the archive has no {PlainText.Quote(name)}, where a tensor's values should be");
            PlaceStorage(storage, bytes);
            return storage;
        });
    }

    private object? ReadLegacy()
    {
        var at = 0L;
        if (!Recognises(_file) || Next(ref at) is not Int128 magic || magic != LegacyMagic)
            throw Bad("not a file of torch.save: neither a zip archive nor the layout before that");
        if (Next(ref at) is not LegacyVersion)
            throw Bad($"its layout is not version {LegacyVersion}, the only one that PyTorch has had");
        if (Next(ref at) is not PickleDict machine || !machine.TryGetValue("little_endian", out var little) || little is not true)
            throw Bad("its numbers are not little-endian. Save it on a little-endian machine");

        var root = Next(ref at);
        if (Next(ref at) is not List<object?> keys)
            throw Bad("the list of storages is missing after the values. Was it cut short?");
        foreach (var key in keys)
            at = PlaceLegacyStorage(key as string, at);
        if (_storages.Values.FirstOrDefault(storage => storage.Bytes == default) is { } lost)
            throw Bad($"storage {PlainText.Quote(lost.Key)} is used by a tensor, but its values are not in the file");
        return root;
    }

    private object? Next(ref long at)
    {
        var value = ReadPickle(new ByteRange(at, _file.Length - at), out var length, FindStorage);
        at += length;
        return value;
    }

    private object? ReadPickle(ByteRange range, out int length, Func<object?[], TorchStorage> storage)
    {
        var bytes = _file.Span(range.Offset, (int)Math.Min(range.Length, PickleReader.MaxLength));
        var reader = new PickleReader(bytes, storage);
        try
        {
            var value = reader.Read();
            length = reader.Position;
            return value;
        }
        catch (InvalidDataException problem)
        {
            throw Bad(problem.Message);
        }
    }

    // ('storage', class, key, device, count), and in the layout before zip a sixth value: None, or the part of a larger storage that is meant.
    private TorchStorage FindStorage(object?[] id)
    {
        if (id is not ["storage", TorchGlobals.StorageType { DType: var dtype }, string key, string, long count, .. var rest] || count < 0 || rest.Length > 1)
            throw new InvalidDataException("the id of a storage is not one that PyTorch writes");
        if (rest is [not null])
            throw new InvalidDataException($"storage {PlainText.Quote(key)} is a part of another storage, as only PyTorch before 0.4 wrote. Save it with a newer one");

        var storage = new TorchStorage(key, dtype, count);
        if (count > _file.Length / storage.ElementSize)
            throw new InvalidDataException($"storage {PlainText.Quote(key)} has {count:N0} values, which the file of {_file.Length:N0} bytes cannot hold");
        if (!_storages.TryGetValue(key, out var known))
            _storages.Add(key, known = storage);
        else if (known.DType != dtype || known.Count != count)
            throw new InvalidDataException($"storage {PlainText.Quote(key)} has two types or two lengths");
        return known;
    }

    private static void PlaceStorage(TorchStorage storage, ByteRange bytes)
    {
        var expected = storage.Count * storage.ElementSize;
        if (bytes.Length != expected)
            throw new InvalidDataException($"storage {PlainText.Quote(storage.Key)} has {bytes.Length:N0} bytes, expected {expected:N0} for {storage.Count:N0} values");
        storage.Bytes = bytes;
    }

    private long PlaceLegacyStorage(string? key, long at)
    {
        if (key is null || !_storages.TryGetValue(key, out var storage))
            throw Bad($"the list of storages names {PlainText.Quote(key ?? "")}, which no tensor uses");
        if (storage.Bytes != default)
            throw Bad($"the list of storages names {PlainText.Quote(key)} twice");
        var count = _file.Read<long>(at);
        if (count != storage.Count)
            throw Bad($"storage {PlainText.Quote(key)} has {count:N0} values at byte {at:N0}, expected {storage.Count:N0}. Was it cut short?");
        var bytes = new ByteRange(at + sizeof(long), count * storage.ElementSize);
        if (bytes.End > _file.Length)
            throw Bad($"storage {PlainText.Quote(key)} needs bytes up to {bytes.End:N0}, but the file ends at {_file.Length:N0}. Was it cut short?");
        storage.Bytes = bytes;
        return bytes.End;
    }

    private InvalidDataException Bad(string problem) => new($"{_file.Path}: {problem}{(problem.EndsWith('?') ? "" : ".")}");
}
