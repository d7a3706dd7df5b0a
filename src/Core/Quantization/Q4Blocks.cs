using System.Buffers.Binary;

namespace LlamaFullstack.Core.Quantization;

/// <summary>The definition of ggml's Q4_0: blocks of 32 weights, a float16 scale and then 16 bytes. w ≈ (q - 8) · scale with q from 0 to 15.</summary>
/// <remarks>Byte i holds weight i in its low half and weight 16 + i in its high half. Scalar and exact, after ggml's reference.</remarks>
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
            var largest = 0f;
            foreach (var value in values[..Length])
            {
                if (!float.IsFinite(value))
                    return false;
                if (Math.Abs(value) > Math.Abs(largest))
                    largest = value;
            }
            var scale = largest / -Zero;
            if (!Half.IsFinite((Half)scale))
                return false;
            var inverse = scale == 0 ? 0 : 1 / scale;
            BinaryPrimitives.WriteHalfLittleEndian(blocks, (Half)scale);
            for (var i = 0; i < Pairs; i++)
                blocks[ScaleBytes + i] = (byte)(Code(values[i] * inverse) | Code(values[Pairs + i] * inverse) << 4);
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
            for (var i = 0; i < Pairs; i++)
            {
                var pair = blocks[ScaleBytes + i];
                values[i] = ((pair & 15) - Zero) * scale;
                values[Pairs + i] = ((pair >> 4) - Zero) * scale;
            }
        }
        return true;
    }

    // The quotient lies within -8 and 8 but for a rounding error, so that only the upper end needs a bound.
    private static int Code(float quotient) => Math.Min(15, (int)(quotient + (Zero + 0.5f)));
}
