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

    /// <summary>Converts float32 to little-endian values, to the nearest one; half to even, as PyTorch does.</summary>
    /// <param name="type">Float32, Float16 or BFloat16.</param>
    /// <param name="values">The values as float32.</param>
    /// <param name="bytes"><see cref="Size"/> times as long.</param>
    /// <returns>False if a finite number is too large for the type; the output is then meaningless.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The type is another.</exception>
    public static bool TryFromFloat32(this NumberType type, ReadOnlySpan<float> values, Span<byte> bytes)
    {
        switch (type)
        {
            case NumberType.Float32:
                MemoryMarshal.AsBytes(values).CopyTo(bytes);
                return true;
            case NumberType.BFloat16:
                ToBFloat16(values, MemoryMarshal.Cast<byte, ushort>(bytes));
                return true;
            case NumberType.Float16:
                return TryToFloat16(values, MemoryMarshal.Cast<byte, ushort>(bytes));
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, "weights are written as float32, float16 or bfloat16.");
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

    private static void ToBFloat16(ReadOnlySpan<float> source, Span<ushort> destination)
    {
        var i = 0;
        for (; i <= source.Length - Vector256<ushort>.Count; i += Vector256<ushort>.Count)
            Vector256.Narrow(ToBFloat16(Vector256.Create(source[i..])), ToBFloat16(Vector256.Create(source[(i + Vector256<float>.Count)..]))).CopyTo(destination[i..]);
        for (; i < source.Length; i++)
            destination[i] = (ushort)ToBFloat16(Vector256.Create(source[i]))[0];
    }

    // Rounding up could make an infinity of a NaN, whose payload is cut instead.
    private static Vector256<uint> ToBFloat16(Vector256<float> values)
    {
        var bits = values.AsUInt32();
        var rounded = (bits + Vector256.Create(0x7fffu) + (bits >> 16 & Vector256<uint>.One)) >> 16;
        return Vector256.ConditionalSelect(Vector256.IsNaN(values).AsUInt32(), bits >> 16 | Vector256.Create(0x40u), rounded);
    }

    private static bool TryToFloat16(ReadOnlySpan<float> source, Span<ushort> destination)
    {
        const float TooLarge = 65520; // half of the way from float16's largest number to the one that would follow
        var i = 0;
        for (; i <= source.Length - Vector256<ushort>.Count; i += Vector256<ushort>.Count)
        {
            var (low, high) = (Vector256.Create(source[i..]), Vector256.Create(source[(i + Vector256<float>.Count)..]));
            if (!Vector256.LessThanAll(Vector256.Abs(low), Vector256.Create(TooLarge)) || !Vector256.LessThanAll(Vector256.Abs(high), Vector256.Create(TooLarge)))
                break; // or no number
            Vector256.Narrow(ToFloat16(low), ToFloat16(high)).CopyTo(destination[i..]);
        }
        for (; i < source.Length; i++)
        {
            var half = (Half)source[i];
            if (Half.IsInfinity(half) && float.IsFinite(source[i]))
                return false;
            destination[i] = BitConverter.HalfToUInt16Bits(half);
        }
        return true;
    }

    // A normal number's exponent is rebased and its fraction cut by 13 bits, rounded half to even. A number below 2^-14 is added to 0.5,
    // whose last place is float16's smallest number: the sum's last ten bits are the fraction, rounded by the addition.
    private static Vector256<uint> ToFloat16(Vector256<float> values)
    {
        const float SmallestNormal = 6.103515625e-5f; // 2^-14
        const uint Rebase = (127 - 15) << 23;
        var magnitude = Vector256.Abs(values);
        var bits = magnitude.AsUInt32();
        var normal = (bits - Vector256.Create(Rebase - 0xfff) + (bits >> 13 & Vector256<uint>.One)) >> 13;
        var half = Vector256.Create(0.5f);
        var subnormal = (magnitude + half).AsUInt32() - half.AsUInt32();
        var isNormal = Vector256.GreaterThanOrEqual(magnitude, Vector256.Create(SmallestNormal)).AsUInt32();
        return Vector256.ConditionalSelect(isNormal, normal, subnormal) | (values.AsUInt32() >> 16 & Vector256.Create(0x8000u));
    }
}
