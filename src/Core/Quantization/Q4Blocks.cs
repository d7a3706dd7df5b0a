using System.Buffers.Binary;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Quantization;

/// <summary>The definition of ggml's Q4_0: blocks of 32 weights, a float16 scale and then 16 bytes. w ≈ (q - 8) · scale with q from 0 to 15.</summary>
/// <remarks>Byte i holds weight i in its low half and weight 16 + i in its high half. Exact, after ggml's reference, and the same on every processor.</remarks>
public static class Q4Blocks
{
    /// <summary>Weights in a block.</summary>
    public const int Length = 32;

    /// <summary>Bytes of a block.</summary>
    public const int Bytes = ScaleBytes + Pairs;

    private const int ScaleBytes = 2;
    private const int Pairs = Length / 2;
    private const int Zero = 8;

    /// <summary>scale = m / -8, where m is the weight of the largest magnitude; q = min(15, ⌊w / scale + 8.5⌋).</summary>
    /// <param name="values">Whole blocks.</param>
    /// <param name="blocks"><see cref="Bytes"/> for each block.</param>
    /// <returns>False if a weight or its scale is not a finite number; the output is then meaningless.</returns>
    public static bool TryQuantize(ReadOnlySpan<float> values, Span<byte> blocks)
    {
        for (; values.Length > 0; values = values[Length..], blocks = blocks[Bytes..])
        {
            var largest = Magnitude.LargestSigned(values[..Length]);
            var scale = largest / -Zero;
            if (!float.IsFinite(largest) || !Half.IsFinite((Half)scale))
                return false;
            var inverse = float.IsFinite(1 / scale) ? 1 / scale : 0; // where it is not, float16 has the scale as 0
            BinaryPrimitives.WriteHalfLittleEndian(blocks, (Half)scale);
            Round(values, inverse, blocks[ScaleBytes..]);
        }
        return true;
    }

    /// <summary>w = (q - 8) · scale.</summary>
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
            Int4Groups.Dequantize(blocks.Slice(ScaleBytes, Pairs), scale, values[..Length]);
        }
        return true;
    }

    /// <summary>Parts blocks into the codes and the scales that <see cref="Int4Groups"/> has: the same bytes, in groups of 32.</summary>
    /// <param name="blocks">Whole blocks.</param>
    /// <param name="codes">16 bytes for each block.</param>
    /// <param name="scales">One for each block.</param>
    /// <returns>False if a scale is not a finite number; the outputs are then meaningless.</returns>
    public static bool TrySplit(ReadOnlySpan<byte> blocks, Span<byte> codes, Span<Half> scales)
    {
        for (var block = 0; block < scales.Length; block++)
        {
            var bytes = blocks.Slice(block * Bytes, Bytes);
            scales[block] = BinaryPrimitives.ReadHalfLittleEndian(bytes);
            if (!Half.IsFinite(scales[block]))
                return false;
            bytes[ScaleBytes..].CopyTo(codes[(block * Pairs)..]);
        }
        return true;
    }

    private static void Round(ReadOnlySpan<float> values, float inverse, Span<byte> pairs)
    {
        var lanes = Vector256<float>.Count;
        var low = Vector256.Narrow(Codes(values, inverse), Codes(values[lanes..], inverse));
        var high = Vector256.Narrow(Codes(values[Pairs..], inverse), Codes(values[(Pairs + lanes)..], inverse));
        var both = low | high << 4;
        Vector128.Narrow(both.GetLower(), both.GetUpper()).AsByte().CopyTo(pairs);
    }

    // The quotient lies within -8 and 8 but for a rounding error, so that only the upper end needs a bound.
    private static Vector256<int> Codes(ReadOnlySpan<float> values, float inverse)
    {
        var shifted = Vector256.Create(values) * inverse + Vector256.Create(Zero + 0.5f);
        return Vector256.Min(Vector256.ConvertToInt32Native(shifted), Vector256.Create(15));
    }
}
