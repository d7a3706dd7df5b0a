using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Quantization;

/// <summary>The definition of llama2.c's int8 weights (its Q8_0): symmetric, in groups that share one scale. w ≈ q · scale.</summary>
/// <remarks>Exact, and the same on every processor: each value is divided and rounded by itself. The engine's kernels are tested against it.</remarks>
public static class Int8Groups
{
    /// <summary>Largest quantised magnitude; -128 is not used.</summary>
    public const float MaxMagnitude = 127f;

    private static int Lanes => Vector256<float>.Count;

    /// <summary>scale = max|w| / 127; q = round(w / scale), half to even. A group of zeros has scale 0.</summary>
    /// <param name="values">Weights; whole groups.</param>
    /// <param name="groupSize">Weights in a group.</param>
    /// <param name="quantized">As long as <paramref name="values"/>.</param>
    /// <param name="scales">One for each group.</param>
    /// <returns>False if a weight is not a finite number; the outputs are then meaningless.</returns>
    public static bool TryQuantize(ReadOnlySpan<float> values, int groupSize, Span<sbyte> quantized, Span<float> scales)
    {
        for (var group = 0; group < scales.Length; group++)
        {
            var w = values.Slice(group * groupSize, groupSize);
            var q = quantized.Slice(group * groupSize, groupSize);
            var max = Magnitude.Largest(w);
            if (!float.IsFinite(max))
                return false;
            var scale = scales[group] = max / MaxMagnitude;
            if (scale == 0)
                q.Clear();
            else
                Round(w, scale, q);
        }
        return true;
    }

    /// <summary>w = q · scale.</summary>
    /// <param name="quantized">Whole groups.</param>
    /// <param name="scales">One for each group.</param>
    /// <param name="groupSize">Weights in a group.</param>
    /// <param name="values">As long as <paramref name="quantized"/>.</param>
    public static void Dequantize(ReadOnlySpan<sbyte> quantized, ReadOnlySpan<float> scales, int groupSize, Span<float> values)
    {
        for (var group = 0; group < scales.Length; group++)
            Dequantize(quantized.Slice(group * groupSize, groupSize), scales[group], values.Slice(group * groupSize, groupSize));
    }

    /// <summary>One group's w = q · scale.</summary>
    internal static void Dequantize(ReadOnlySpan<sbyte> q, float scale, Span<float> w)
    {
        var i = 0;
        for (; i <= q.Length - 4 * Lanes; i += 4 * Lanes)
        {
            var (low, high) = Vector256.Widen(Vector256.Create(q[i..]));
            var (a, b) = Vector256.Widen(low);
            var (c, d) = Vector256.Widen(high);
            (Vector256.ConvertToSingle(a) * scale).CopyTo(w[i..]);
            (Vector256.ConvertToSingle(b) * scale).CopyTo(w[(i + Lanes)..]);
            (Vector256.ConvertToSingle(c) * scale).CopyTo(w[(i + 2 * Lanes)..]);
            (Vector256.ConvertToSingle(d) * scale).CopyTo(w[(i + 3 * Lanes)..]);
        }
        for (; i < q.Length; i++)
            w[i] = q[i] * scale;
    }

    private static void Round(ReadOnlySpan<float> w, float scale, Span<sbyte> q)
    {
        var i = 0;
        for (; i <= w.Length - 4 * Lanes; i += 4 * Lanes)
        {
            var low = Vector256.Narrow(Round(w[i..], scale), Round(w[(i + Lanes)..], scale));
            var high = Vector256.Narrow(Round(w[(i + 2 * Lanes)..], scale), Round(w[(i + 3 * Lanes)..], scale));
            Vector256.Narrow(low, high).CopyTo(q[i..]);
        }
        for (; i < w.Length; i++)
            q[i] = (sbyte)Math.Clamp(MathF.Round(w[i] / scale, MidpointRounding.ToEven), -MaxMagnitude, MaxMagnitude);
    }

    // The bound counts only where the scale is a denormal, and so rounded by up to a half.
    private static Vector256<int> Round(ReadOnlySpan<float> w, float scale)
    {
        var rounded = Vector256.Round(Vector256.Create(w) / scale, MidpointRounding.ToEven);
        return Vector256.ConvertToInt32Native(Vector256.MaxNative(Vector256.MinNative(rounded, Vector256.Create(MaxMagnitude)), Vector256.Create(-MaxMagnitude)));
    }
}
