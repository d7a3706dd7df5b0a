using System.Text;

namespace LlamaFullstack.Tests;

/// <summary>Builds GGUF files byte by byte, right or wrong, without the project's own writer.</summary>
internal sealed class GgufBytes
{
    public const uint U8 = 0, U32 = 4, I32 = 5, F32 = 6, Bool = 7, Text = 8, Array = 9, U64 = 10;

    private readonly List<(string Key, uint Type, byte[] Value)> _values = [];
    private readonly List<(string Name, ulong[] Dimensions, uint Type, ulong? Offset, byte[] Data)> _tensors = [];

    public uint Magic { get; set; } = 0x46554747;

    public uint Version { get; set; } = 3;

    public ulong? TensorCount { get; set; }

    public ulong? ValueCount { get; set; }

    public int Alignment { get; set; } = 32;

    public static byte[] TextValue(string text) => [.. BitConverter.GetBytes((ulong)Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)];

    public static byte[] ArrayValue(uint type, params byte[][] elements) =>
        [.. BitConverter.GetBytes(type), .. BitConverter.GetBytes((ulong)elements.Length), .. elements.SelectMany(element => element)];

    public GgufBytes Set(string key, uint type, byte[] value)
    {
        Remove(key);
        _values.Add((key, type, value));
        return this;
    }

    public GgufBytes Set(string key, uint value) => Set(key, U32, BitConverter.GetBytes(value));

    public GgufBytes Set(string key, float value) => Set(key, F32, BitConverter.GetBytes(value));

    public GgufBytes Set(string key, bool value) => Set(key, Bool, [value ? (byte)1 : (byte)0]);

    public GgufBytes Set(string key, string value) => Set(key, Text, TextValue(value));

    public GgufBytes Remove(string key)
    {
        _values.RemoveAll(value => value.Key == key);
        return this;
    }

    /// <summary>Writes a value twice.</summary>
    public GgufBytes Repeat(string key)
    {
        _values.Add(_values.First(value => value.Key == key));
        return this;
    }

    /// <summary>Adds a tensor; dimensions as the file has them, the row's length first.</summary>
    public GgufBytes Add(string name, ulong[] dimensions, uint type, byte[] data, ulong? offset = null)
    {
        _tensors.Add((name, dimensions, type, offset, data));
        return this;
    }

    public GgufBytes Change(string name, ulong[]? dimensions = null, uint? type = null, ulong? offset = null, string? newName = null, byte[]? data = null)
    {
        var at = _tensors.FindIndex(tensor => tensor.Name == name);
        var old = _tensors[at];
        _tensors[at] = (newName ?? old.Name, dimensions ?? old.Dimensions, type ?? old.Type, offset ?? old.Offset, data ?? old.Data);
        return this;
    }

    public GgufBytes RemoveTensor(string name)
    {
        _tensors.RemoveAll(tensor => tensor.Name == name);
        return this;
    }

    public byte[] Build()
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(Magic);
        writer.Write(Version);
        writer.Write(TensorCount ?? (ulong)_tensors.Count);
        writer.Write(ValueCount ?? (ulong)_values.Count);
        foreach (var (key, type, value) in _values)
        {
            writer.Write(TextValue(key));
            writer.Write(type);
            writer.Write(value);
        }
        var next = 0UL;
        foreach (var (name, dimensions, type, offset, data) in _tensors)
        {
            writer.Write(TextValue(name));
            writer.Write((uint)dimensions.Length);
            foreach (var dimension in dimensions)
                writer.Write(dimension);
            writer.Write(type);
            writer.Write(offset ?? next);
            next += (ulong)(data.Length + Alignment - 1) / (ulong)Alignment * (ulong)Alignment;
        }
        foreach (var (_, _, _, _, data) in _tensors)
        {
            Pad(writer);
            writer.Write(data);
        }
        return stream.ToArray();
    }

    private void Pad(BinaryWriter writer)
    {
        while (writer.BaseStream.Position % Alignment != 0)
            writer.Write((byte)0);
    }
}
