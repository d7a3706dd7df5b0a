using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace LlamaFullstack.Export.Sources;

/// <summary>The types of value that a PyTorch tensor can have here.</summary>
internal enum TorchDType
{
    Float32,
    Float64,
    Float16,
    BFloat16,
    Int64,
    Int32,
    Int16,
    Int8,
    UInt8,
    Bool,
}

/// <summary>Each type's size, and its values as float32.</summary>
internal static class TorchDTypes
{
    /// <summary>Bytes of one value.</summary>
    public static int Size(this TorchDType type) => type switch
    {
        TorchDType.Float64 or TorchDType.Int64 => 8,
        TorchDType.Float32 or TorchDType.Int32 => 4,
        TorchDType.Float16 or TorchDType.BFloat16 or TorchDType.Int16 => 2,
        TorchDType.Int8 or TorchDType.UInt8 or TorchDType.Bool => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };

    /// <summary>Converts little-endian values to float32: exactly from the 16 bit and 8 bit types, to the nearest from wider ones.</summary>
    /// <param name="type">The type of the values.</param>
    /// <param name="bytes"><see cref="Size"/> times as long as <paramref name="destination"/>; need not be aligned.</param>
    /// <param name="destination">The values as float32.</param>
    public static void ToFloat32(this TorchDType type, ReadOnlySpan<byte> bytes, Span<float> destination)
    {
        switch (type)
        {
            case TorchDType.Float32:
                bytes.CopyTo(MemoryMarshal.AsBytes(destination));
                break;
            case TorchDType.BFloat16:
                // bfloat16 is the upper half of a float32.
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * i)..]) << 16);
                break;
            case TorchDType.Float16:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = (float)BinaryPrimitives.ReadHalfLittleEndian(bytes[(2 * i)..]);
                break;
            case TorchDType.Float64:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = (float)BinaryPrimitives.ReadDoubleLittleEndian(bytes[(8 * i)..]);
                break;
            case TorchDType.Int64:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = BinaryPrimitives.ReadInt64LittleEndian(bytes[(8 * i)..]);
                break;
            case TorchDType.Int32:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = BinaryPrimitives.ReadInt32LittleEndian(bytes[(4 * i)..]);
                break;
            case TorchDType.Int16:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = BinaryPrimitives.ReadInt16LittleEndian(bytes[(2 * i)..]);
                break;
            case TorchDType.Int8:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = (sbyte)bytes[i];
                break;
            case TorchDType.UInt8:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = bytes[i];
                break;
            case TorchDType.Bool:
                for (var i = 0; i < destination.Length; i++)
                    destination[i] = bytes[i] == 0 ? 0f : 1f;
                break;
        }
    }
}
