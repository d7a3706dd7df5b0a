using System.Buffers.Binary;

namespace LlamaFullstack.Core.Formats;

/// <summary>Walks the fields of one protobuf message. Only what sentencepiece's model files use.</summary>
/// <remarks>Wire format: protobuf.dev/programming-guides/encoding.</remarks>
internal ref struct ProtobufReader(ReadOnlySpan<byte> message, string path)
{
    private readonly ReadOnlySpan<byte> _message = message;

    /// <summary>Byte offset of the next field.</summary>
    public int Offset { get; private set; }

    /// <summary>Number of the field just read.</summary>
    public int Field { get; private set; }

    /// <summary>Value of a varint field.</summary>
    public ulong Varint { get; private set; }

    /// <summary>Content of a length-delimited field, or the bytes of a fixed one.</summary>
    public ReadOnlySpan<byte> Bytes { get; private set; }

    /// <summary>Value of a float field.</summary>
    public readonly float Single => Bytes.Length == sizeof(float)
        ? BinaryPrimitives.ReadSingleLittleEndian(Bytes)
        : throw Damaged($"field {Field} is not a float");

    /// <summary>Moves to the next field; false at the end.</summary>
    /// <exception cref="InvalidDataException">The message is damaged.</exception>
    public bool Next()
    {
        if (Offset == _message.Length)
            return false;
        var tag = ReadVarint();
        if (tag >> 3 is 0 or > int.MaxValue)
            throw Damaged("a field has no valid number");
        Field = (int)(tag >> 3);
        Bytes = default;
        Varint = 0;
        switch (tag & 7)
        {
            case 0: Varint = ReadVarint(); break;
            case 1: Bytes = Take(sizeof(ulong)); break;
            case 2: Bytes = Take(ReadVarint()); break;
            case 5: Bytes = Take(sizeof(uint)); break;
            default: throw Damaged($"field {Field} has wire type {tag & 7}");
        }
        return true;
    }

    private ulong ReadVarint()
    {
        var value = 0ul;
        for (var shift = 0; shift < 64; shift += 7)
        {
            if (Offset == _message.Length)
                throw Damaged("it ends inside a number");
            var b = _message[Offset++];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }
        throw Damaged("a number is too long");
    }

    private ReadOnlySpan<byte> Take(ulong length)
    {
        if (length > (ulong)(_message.Length - Offset))
            throw Damaged($"field {Field} is {length:N0} bytes long, which is past the end");
        var bytes = _message.Slice(Offset, (int)length);
        Offset += (int)length;
        return bytes;
    }

    private readonly InvalidDataException Damaged(string what) =>
        new($"{path}: not a sentencepiece model, or damaged: {what} (near byte {Offset:N0}).");
}
