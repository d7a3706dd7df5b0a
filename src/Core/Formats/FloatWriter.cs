using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace LlamaFullstack.Core.Formats;

/// <summary>Writes weights as little-endian float32 or float16, in parts: the bytes of a large tensor are more than a span can hold (2 GB).</summary>
public static class FloatWriter
{
    private const int Part = 1 << 20;

    /// <summary>Writes values.</summary>
    /// <param name="stream">Where they go.</param>
    /// <param name="values">The weights.</param>
    /// <param name="type">Float32 or Float16.</param>
    /// <param name="name">The tensor, for the message.</param>
    /// <exception cref="InvalidDataException">A finite weight is beyond float16's 65,504.</exception>
    public static void Write(Stream stream, ReadOnlySpan<float> values, NumberType type, string name)
    {
        var halves = type switch
        {
            NumberType.Float32 => [],
            NumberType.Float16 => new byte[Math.Min(Part, values.Length) * type.Size()],
            _ => throw new ArgumentException($"weights can be written as float32 or float16, not as {type}", nameof(type)),
        };
        for (; !values.IsEmpty; values = values[Math.Min(Part, values.Length)..])
        {
            var part = values[..Math.Min(Part, values.Length)];
            stream.Write(type == NumberType.Float32 ? MemoryMarshal.AsBytes(part) : ToFloat16(part, halves, name));
        }
    }

    private static ReadOnlySpan<byte> ToFloat16(ReadOnlySpan<float> values, Span<byte> bytes, string name)
    {
        for (var i = 0; i < values.Length; i++)
        {
            var half = (Half)values[i];
            if (!Half.IsFinite(half) && float.IsFinite(values[i]))
                throw new InvalidDataException($"{name} has the weight {values[i]}, which is too large for float16. Write float32 instead.");
            BinaryPrimitives.WriteHalfLittleEndian(bytes[(i * 2)..], half);
        }
        return bytes[..(values.Length * 2)];
    }
}
