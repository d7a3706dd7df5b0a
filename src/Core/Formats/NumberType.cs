using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Formats;

/// <summary>The types of number that checkpoints store, read here as float32.</summary>
public enum NumberType
{
    /// <summary>IEEE float32.</summary>
    Float32,

    /// <summary>IEEE float64.</summary>
    Float64,

    /// <summary>IEEE float16.</summary>
    Float16,

    /// <summary>The upper half of a float32.</summary>
    BFloat16,

    /// <summary>64 bits, signed.</summary>
    Int64,

    /// <summary>32 bits, signed.</summary>
    Int32,

    /// <summary>16 bits, signed.</summary>
    Int16,

    /// <summary>8 bits, signed.</summary>
    Int8,

    /// <summary>8 bits, unsigned.</summary>
    UInt8,

    /// <summary>A byte, 0 or not.</summary>
    Bool,
}

/// <summary>Each type's size, and its values as float32.</summary>
public static class NumberTypes
{
    /// <summary>Bytes of one value.</summary>
    public static int Size(this NumberType type) => type switch
    {
        NumberType.Float64 or NumberType.Int64 => 8,
        NumberType.Float32 or NumberType.Int32 => 4,
        NumberType.Float16 or NumberType.BFloat16 or NumberType.Int16 => 2,
        NumberType.Int8 or NumberType.UInt8 or NumberType.Bool => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };

    /// <summary>Converts little-endian values to float32: exactly from the 16 bit and 8 bit types, to the nearest from wider ones.</summary>
    /// <param name="type">The type of the values.</param>
    /// <param name="bytes"><see cref="Size"/> times as long as <paramref name="destination"/>; need not be aligned.</param>
    /// <param name="destination">The values as float32.</param>
    public static void ToFloat32(this NumberType type, ReadOnlySpan<byte> bytes, Span<float> destination)
    {
        switch (type)
        {
            case NumberType.Float32:
                bytes.CopyTo(MemoryMarshal.AsBytes(destination));
                break;
            case NumberType.BFloat16:
                FromBFloat16(MemoryMarshal.Cast<byte, ushort>(bytes), destination);
                break;
            case NumberType.Float16:
                FromFloat16(MemoryMarshal.Cast<byte, ushort>(bytes), destination);
                break;
            case NumberType.Float64:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = (float)BinaryPrimitives.ReadDoubleLittleEndian(bytes[(8 * i)..]);
                break;
            case NumberType.Int64:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = BinaryPrimitives.ReadInt64LittleEndian(bytes[(8 * i)..]);
                break;
            case NumberType.Int32:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = BinaryPrimitives.ReadInt32LittleEndian(bytes[(4 * i)..]);
                break;
            case NumberType.Int16:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = BinaryPrimitives.ReadInt16LittleEndian(bytes[(2 * i)..]);
                break;
            case NumberType.Int8:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = (sbyte)bytes[i];
                break;
            case NumberType.UInt8:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = bytes[i];
                break;
            case NumberType.Bool:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = bytes[i] == 0 ? 0f : 1f;
                break;
        }
    }

    private static void FromBFloat16(ReadOnlySpan<ushort> source, Span<float> destination)
    {
        var i = 0;
        for (; i <= source.Length - Vector256<ushort>.Count; i += Vector256<ushort>.Count)
        {
            var (low, high) = Vector256.Widen(Vector256.Create(source[i..]));
            (low << 16).AsSingle().CopyTo(destination[i..]);
            (high << 16).AsSingle().CopyTo(destination[(i + Vector256<float>.Count)..]);
        }
        for (; i < source.Length; i++)
            destination[i] = BitConverter.Int32BitsToSingle(source[i] << 16);
    }

    private static void FromFloat16(ReadOnlySpan<ushort> source, Span<float> destination)
    {
        var i = 0;
        for (; i <= source.Length - Vector256<ushort>.Count; i += Vector256<ushort>.Count)
        {
            var (low, high) = Vector256.Widen(Vector256.Create(source[i..]));
            FromFloat16(low).CopyTo(destination[i..]);
            FromFloat16(high).CopyTo(destination[(i + Vector256<float>.Count)..]);
        }
        for (; i < source.Length; i++)
            destination[i] = (float)BitConverter.UInt16BitsToHalf(source[i]);
    }

    // The exponent and the fraction, moved to their places in a float32, are the value divided by 2^112: exact, subnormals included.
    // Infinity and NaN come out as 2^16 and more, and are given the exponent that they have in float32.
    private static Vector256<float> FromFloat16(Vector256<uint> bits)
    {
        const float Scale = 5.192296858534828e33f; // 2^112
        var magnitude = (((bits & Vector256.Create(0x7fffu)) << 13).AsSingle() * Scale).AsUInt32();
        var special = Vector256.GreaterThan(bits & Vector256.Create(0x7fffu), Vector256.Create(0x7bffu)) & Vector256.Create(0x7f800000u);
        return (magnitude | special | ((bits & Vector256.Create(0x8000u)) << 16)).AsSingle();
    }
}
