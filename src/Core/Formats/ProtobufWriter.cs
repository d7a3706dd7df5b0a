using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace LlamaFullstack.Core.Formats;

/// <summary>Builds one protobuf message, field by field in the order of the calls.</summary>
internal sealed class ProtobufWriter
{
    private readonly ArrayBufferWriter<byte> _message = new();

    /// <summary>The message so far.</summary>
    public ReadOnlySpan<byte> Message => _message.WrittenSpan;

    /// <summary>Writes an integer, enumeration or boolean.</summary>
    public void Varint(int field, ulong value)
    {
        WriteVarint((ulong)field << 3);
        WriteVarint(value);
    }

    /// <summary>Writes a float.</summary>
    public void Single(int field, float value)
    {
        WriteVarint(((ulong)field << 3) | 5);
        BinaryPrimitives.WriteSingleLittleEndian(_message.GetSpan(sizeof(float)), value);
        _message.Advance(sizeof(float));
    }

    /// <summary>Writes bytes, or a message inside this one.</summary>
    public void Bytes(int field, ReadOnlySpan<byte> value)
    {
        WriteVarint(((ulong)field << 3) | 2);
        WriteVarint((ulong)value.Length);
        _message.Write(value);
    }

    /// <summary>Writes a string.</summary>
    public void Text(int field, string value) => Bytes(field, Encoding.UTF8.GetBytes(value));

    /// <summary>Appends fields that are encoded already.</summary>
    public void Raw(ReadOnlySpan<byte> fields) => _message.Write(fields);

    private void WriteVarint(ulong value)
    {
        Span<byte> bytes = stackalloc byte[10];
        var count = 0;
        for (; value >= 0x80; value >>= 7)
            bytes[count++] = (byte)(value | 0x80);
        bytes[count++] = (byte)value;
        _message.Write(bytes[..count]);
    }
}
