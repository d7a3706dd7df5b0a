using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace LlamaFullstack.Core.Quantization;

/// <summary>The definition of ggml's Q8_0: blocks of 32 weights, a float16 scale and then the int8 values. w ≈ q · scale.</summary>
/// <remarks>Scalar and exact, after ggml's reference: the values are rounded with the float32 scale, of which the block keeps the float16.</remarks>
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
            var max = 0f;
            foreach (var value in values[..Length])
            {
                if (!float.IsFinite(value))
                    return false;
                max = Math.Max(max, Math.Abs(value));
            }
            var scale = max / MaxMagnitude;
            if (!Half.IsFinite((Half)scale))
                return false;
            var inverse = scale == 0 ? 0 : 1 / scale;
            BinaryPrimitives.WriteHalfLittleEndian(blocks, (Half)scale);
            for (var i = 0; i < Length; i++)
                blocks[ScaleBytes + i] = (byte)(sbyte)Math.Clamp(MathF.Round(values[i] * inverse, MidpointRounding.AwayFromZero), -MaxMagnitude, MaxMagnitude);
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
            for (var i = 0; i < Length; i++)
                values[i] = (sbyte)blocks[ScaleBytes + i] * scale;
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
}
