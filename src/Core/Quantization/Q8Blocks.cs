using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Quantization;

/// <summary>The definition of ggml's Q8_0: blocks of 32 weights, a float16 scale and then the int8 values. w ≈ q · scale.</summary>
/// <remarks>Exact, after ggml's reference, and the same on every processor: the values are rounded with the float32 scale, of which the block keeps the float16.</remarks>
public static class Q8Blocks
{
    /// <summary>Weights in a block.</summary>
    public const int Length = 32;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = ScaleBytes + Length;

    private const int ScaleBytes = 2;
    private const float MaxMagnitude = 127f;

    /// <summary>scale = max|w| / 127; q = round(w / scale), half away from zero.</summary>
    /// <param name="values">Whole blocks.</param>
    /// <param name="blocks"><see cref="Bytes"/> for each block.</param>
    /// <returns>False if a weight or its scale is not a finite number; the output is then meaningless.</returns>
    public static bool TryQuantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (; values.Length > 0; values = values[Length..], blocks = blocks[Bytes..])
        {
            var max = Magnitude.Largest(values[..Length]);
            var scale = max / MaxMagnitude;
            if (!float.IsFinite(max) || !Half.IsFinite((Half)scale))
                return false;
            var inverse = float.IsFinite(1 / scale) ? 1 / scale : 0; // where it is not, float16 has the scale as 0
            BinaryPrimitives.WriteHalfLittleEndian(blocks, (Half)scale);
            Round(values, inverse, blocks[ScaleBytes..]);
        }
        return true;
    }

    /// <summary>w = q · scale.</summary>
    /// <param name="blocks">Whole blocks.</param>
    /// <param name="values"><see cref="Length"/> for each block.</param>
    /// <returns>False if a scale is not a finite number; the output is then meaningless.</returns>
    public static bool TryDequantize(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; blocks.Length > 0; blocks = blocks[Bytes..], values = values[Length..])
        {
            var scale = (float)BinaryPrimitives.ReadHalfLittleEndian(blocks);
            if (!float.IsFinite(scale))
                return false;
            Int8Groups.Dequantize(MemoryMarshal.Cast<byte, sbyte>(blocks.Slice(ScaleBytes, Length)), scale, values[..Length]);
        }
        return true;
    }

    /// <summary>Parts blocks into the values and the scales that <see cref="Int8Groups"/> has: the same weights, in groups of 32.</summary>
    /// <param name="blocks">Whole blocks.</param>
    /// <param name="quantized"><see cref="Length"/> for each block.</param>
    /// <param name="scales">One for each block.</param>
    /// <returns>False if a scale is not a finite number; the outputs are then meaningless.</returns>
    public static bool TrySplit(ReadOnlySpan<byte> blocks, Span<sbyte> quantized, Span<float> scales)
    {
        for (var block = 0; block < scales.Length; block++)
        {
            var bytes = blocks.Slice(block * Bytes, Bytes);
            scales[block] = (float)BinaryPrimitives.ReadHalfLittleEndian(bytes);
            if (!float.IsFinite(scales[block]))
                return false;
            MemoryMarshal.Cast<byte, sbyte>(bytes[ScaleBytes..]).CopyTo(quantized[(block * Length)..]);
        }
        return true;
    }

    private static void Round(ReadOnlySpan<float> values, float inverse, Span<byte> q)
    {
        var lanes = Vector256<float>.Count;
        var low = Vector256.Narrow(Round(values, inverse), Round(values[lanes..], inverse));
        var high = Vector256.Narrow(Round(values[(2 * lanes)..], inverse), Round(values[(3 * lanes)..], inverse));
        Vector256.Narrow(low, high).AsByte().CopyTo(q);
    }

    // Half away from zero: what is below a half by one bit stays below one when this is added, and a half reaches it.
    private static Vector256<int> Round(ReadOnlySpan<float> values, float inverse)
    {
        const float BelowHalf = 0.49999997f;
        var quotient = Vector256.Create(values) * inverse;
        var magnitude = Vector256.Truncate(Vector256.Abs(quotient) + Vector256.Create(BelowHalf));
        return Vector256.ConvertToInt32Native(Vector256.CopySign(Vector256.MinNative(magnitude, Vector256.Create(MaxMagnitude)), quotient));
    }
}
