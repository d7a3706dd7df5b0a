using System.Text.Json;

namespace LlamaFullstack.Core.Formats;

/// <summary>A safetensors file, mapped: an 8 byte length, a JSON header, then the tensors' bytes. It can hold no code, only numbers.</summary>
/// <remarks>
/// Format: github.com/huggingface/safetensors. Checked as strictly as the reference does: the tensors lie one after the other and fill
/// the file, no name stands twice, each size follows from its shape.
/// </remarks>
public sealed class SafetensorsFile : IDisposable
{
    private const int LengthBytes = sizeof(ulong);
    private const int MaxHeaderLength = 100_000_000; // the reference's own bound
    private const int MaxDimensions = 8;

    private readonly MappedFile _map;
    private readonly long _dataStart;
    private readonly Dictionary<string, (SafetensorsEntry Entry, long Offset)> _tensors = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _metadata = new(StringComparer.Ordinal);

    private SafetensorsFile(MappedFile map)
    {
        _map = map;
        if (map.Length < LengthBytes)
            throw Damaged($"{map.Length} bytes is too short. Was it cut short?");
        var headerLength = map.Read<ulong>(0);
        if (headerLength > MaxHeaderLength || (long)headerLength > map.Length - LengthBytes)
            throw Damaged($"its header would be {headerLength:N0} bytes long, in a file of {map.Length:N0}");
        _dataStart = LengthBytes + (long)headerLength;
        try
        {
            ReadHeader(map.Span(LengthBytes, (int)headerLength));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw Damaged($"its header is not the JSON that was expected: {PlainText.Quote(e)}");
        }
        CheckLayout();
    }

    /// <summary>The file's name.</summary>
    public string Path => _map.Path;

    /// <summary>The header's __metadata__: text by name.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>The tensors, in the order of the file.</summary>
    public IEnumerable<SafetensorsEntry> Tensors => _tensors.Values.OrderBy(tensor => tensor.Offset).Select(tensor => tensor.Entry);

    /// <summary>Maps a file and checks its header.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is not a safetensors file, or it is damaged.</exception>
    public static SafetensorsFile Open(string path)
    {
        var map = MappedFile.Open(path);
        try
        {
            return new SafetensorsFile(map);
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

    /// <summary>Finds a tensor.</summary>
    public bool TryGet(string name, out SafetensorsEntry entry)
    {
        var found = _tensors.TryGetValue(name, out var tensor);
        entry = tensor.Entry;
        return found;
    }

    /// <summary>Copies a tensor of floats, converting F16, BF16 and F64 to float32.</summary>
    /// <exception cref="InvalidDataException">There is no such tensor, it is not of floats, or it has another number of values.</exception>
    public void ReadFloats(string name, Span<float> destination)
    {
        if (TryGet(name, out var entry) && entry.Count != destination.Length)
            throw new InvalidDataException($"{Path}: tensor {name} has {entry.Count:N0} values, expected {destination.Length:N0}.");
        ReadFloats(name, 0, destination);
    }

    /// <summary>Copies a part of a tensor of floats, likewise.</summary>
    /// <param name="name">The tensor.</param>
    /// <param name="start">The first value.</param>
    /// <param name="destination">As many values as are to be read.</param>
    /// <exception cref="InvalidDataException">There is no such tensor, it is not of floats, or it has fewer values.</exception>
    public void ReadFloats(string name, long start, Span<float> destination)
    {
        if (!_tensors.TryGetValue(name, out var tensor))
            throw new InvalidDataException($"{Path}: has no tensor {name}.");
        var (entry, offset) = tensor;
        if (start < 0 || start > entry.Count - destination.Length)
            throw new InvalidDataException($"{Path}: tensor {name} has {entry.Count:N0} values, expected {start + destination.Length:N0}.");
        var type = entry.Dtype switch
        {
            "F32" => NumberType.Float32,
            "F16" => NumberType.Float16,
            "BF16" => NumberType.BFloat16,
            "F64" => NumberType.Float64,
            _ => throw new InvalidDataException($"{Path}: tensor {name} is of {entry.Dtype}, expected floats."),
        };
        _map.ReadFloats(offset + start * type.Size(), type, destination);
    }

    /// <summary>Unmaps the file.</summary>
    public void Dispose() => _map.Dispose();

    private void ReadHeader(ReadOnlySpan<byte> header)
    {
        var json = new Utf8JsonReader(header);
        json.Read();
        Expect(json, JsonTokenType.StartObject);
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var name = json.GetString()!;
            json.Read();
            if (name == "__metadata__")
                ReadMetadata(ref json);
            else if (!_tensors.TryAdd(name, ReadTensor(ref json, name)))
                throw Damaged($"tensor {PlainText.Quote(name)} stands twice");
        }
        Expect(json, JsonTokenType.EndObject);
        while (json.Read()) { } // spaces may follow; anything else throws
    }

    private void ReadMetadata(ref Utf8JsonReader json)
    {
        Expect(json, JsonTokenType.StartObject);
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var key = json.GetString()!;
            json.Read();
            Expect(json, JsonTokenType.String);
            if (!_metadata.TryAdd(key, json.GetString()!))
                throw Damaged($"metadata {PlainText.Quote(key)} stands twice");
        }
    }

    private (SafetensorsEntry Entry, long Offset) ReadTensor(ref Utf8JsonReader json, string name)
    {
        var dtype = "";
        List<long>? shape = null, offsets = null;
        Expect(json, JsonTokenType.StartObject);
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var key = json.GetString()!;
            json.Read();
            if (key == "dtype")
                dtype = json.GetString() ?? "";
            else if (key == "shape")
                shape = ReadNumbers(ref json);
            else if (key == "data_offsets")
                offsets = ReadNumbers(ref json);
            else
                throw Damaged($"tensor {PlainText.Quote(name)} has the field {PlainText.Quote(key)}, which is not known");
        }
        if (shape is null || offsets is not [>= 0, _])
            throw Damaged($"tensor {PlainText.Quote(name)} lacks a shape or two data_offsets");
        if (shape.Count > MaxDimensions)
            throw Damaged($"tensor {PlainText.Quote(name)} has {shape.Count:N0} dimensions, expected at most {MaxDimensions}");
        SafetensorsEntry entry;
        try
        {
            entry = SafetensorsEntry.Create(name, dtype, shape);
        }
        catch (ArgumentException e)
        {
            throw Damaged(e.Message.Split(" (Parameter")[0].TrimEnd('.'));
        }
        if (offsets[1] - offsets[0] != entry.ByteLength)
            throw Damaged($"tensor {PlainText.Quote(name)} of shape [{string.Join(", ", shape)}] and {dtype} needs {entry.ByteLength:N0} bytes, but its data_offsets are {offsets[0]} and {offsets[1]}");
        return (entry, _dataStart + offsets[0]);
    }

    private static List<long> ReadNumbers(ref Utf8JsonReader json)
    {
        Expect(json, JsonTokenType.StartArray);
        var numbers = new List<long>();
        while (json.Read() && json.TokenType == JsonTokenType.Number)
            numbers.Add(json.GetInt64());
        Expect(json, JsonTokenType.EndArray);
        return numbers;
    }

    private void CheckLayout()
    {
        var end = _dataStart;
        foreach (var (entry, offset) in _tensors.Values.OrderBy(tensor => tensor.Offset).ThenBy(tensor => tensor.Entry.ByteLength))
        {
            if (offset != end)
                throw Damaged($"tensor {PlainText.Quote(entry.Name)} begins at byte {offset:N0}, expected {end:N0}: tensors overlap or leave a gap");
            if (entry.ByteLength > _map.Length - end)
                throw Damaged($"tensor {PlainText.Quote(entry.Name)} ends after the file's {_map.Length:N0} bytes. Was it cut short?");
            end += entry.ByteLength;
        }
        if (end != _map.Length)
            throw Damaged($"its tensors end at byte {end:N0}, but it is {_map.Length:N0} bytes long");
    }

    private static void Expect(in Utf8JsonReader json, JsonTokenType type)
    {
        if (json.TokenType != type)
            throw new JsonException($"{type} was expected at byte {json.TokenStartIndex}, not {json.TokenType}");
    }

    private InvalidDataException Damaged(string what) => new($"{_map.Path}: not a safetensors file, or damaged: {what}{(what.EndsWith('?') ? "" : ".")}");
}
