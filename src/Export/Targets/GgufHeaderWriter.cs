using System.Text;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export.Targets;

/// <summary>Puts together the header of a GGUF file: metadata and the list of tensors, which will lie one after the other, each aligned.</summary>
internal sealed class GgufHeaderWriter : IDisposable
{
    private const uint Version = 3;
    private const uint UInt32Kind = 4, Int32Kind = 5, Float32Kind = 6, BoolKind = 7, TextKind = 8, ArrayKind = 9;

    private readonly MemoryStream _values = new();
    private readonly MemoryStream _tensors = new();
    private readonly BinaryWriter _value;
    private readonly BinaryWriter _tensor;
    private ulong _valueCount;
    private ulong _tensorCount;
    private long _offset;

    public GgufHeaderWriter()
    {
        _value = new BinaryWriter(_values);
        _tensor = new BinaryWriter(_tensors);
    }

    /// <summary>The next multiple of the alignment.</summary>
    public static long Align(long offset) => (offset + GgufFile.DefaultAlignment - 1) / GgufFile.DefaultAlignment * GgufFile.DefaultAlignment;

    public void Text(string key, string value)
    {
        Key(key, TextKind);
        Text(_value, Encoding.UTF8.GetBytes(value));
    }

    public void Whole(string key, int value)
    {
        Key(key, UInt32Kind);
        _value.Write((uint)value);
    }

    public void Fraction(string key, float value)
    {
        Key(key, Float32Kind);
        _value.Write(value);
    }

    public void Flag(string key, bool value)
    {
        Key(key, BoolKind);
        _value.Write(value);
    }

    public void Texts(string key, IReadOnlyCollection<byte[]> values)
    {
        Array(key, TextKind, values.Count);
        foreach (var value in values)
            Text(_value, value);
    }

    public void Fractions(string key, IReadOnlyCollection<float> values)
    {
        Array(key, Float32Kind, values.Count);
        foreach (var value in values)
            _value.Write(value);
    }

    public void Wholes(string key, IReadOnlyCollection<int> values)
    {
        Array(key, Int32Kind, values.Count);
        foreach (var value in values)
            _value.Write(value);
    }

    /// <summary>Adds a tensor behind the ones before.</summary>
    /// <param name="name">Its name there.</param>
    /// <param name="shape">Its dimensions, rows first.</param>
    /// <param name="type">How its values are held.</param>
    public void Tensor(string name, IReadOnlyList<int> shape, GgufType type)
    {
        _tensorCount++;
        Text(_tensor, Encoding.UTF8.GetBytes(name));
        _tensor.Write((uint)shape.Count);
        var length = 1L;
        foreach (var dimension in shape.Reverse())
        {
            _tensor.Write((ulong)dimension);
            length *= dimension;
        }
        _tensor.Write(type.Code);
        _tensor.Write((ulong)_offset);
        _offset = Align(_offset + type.BytesOf(length));
    }

    /// <summary>Writes the header, padded so that the first tensor is aligned.</summary>
    public void Write(Stream file)
    {
        using var writer = new BinaryWriter(file, Encoding.UTF8, leaveOpen: true);
        writer.Write(GgufFile.Magic);
        writer.Write(Version);
        writer.Write(_tensorCount);
        writer.Write(_valueCount);
        writer.Flush();
        _values.WriteTo(file);
        _tensors.WriteTo(file);
        file.Write(new byte[Align(file.Position) - file.Position]);
    }

    public void Dispose()
    {
        _value.Dispose();
        _tensor.Dispose();
    }

    private void Array(string key, uint kind, int count)
    {
        Key(key, ArrayKind);
        _value.Write(kind);
        _value.Write((ulong)count);
    }

    private void Key(string key, uint kind)
    {
        _valueCount++;
        Text(_value, Encoding.UTF8.GetBytes(key));
        _value.Write(kind);
    }

    private static void Text(BinaryWriter writer, byte[] text)
    {
        writer.Write((ulong)text.Length);
        writer.Write(text);
    }
}
