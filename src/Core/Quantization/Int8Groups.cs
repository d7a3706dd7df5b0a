namespace LlamaFullstack.Core.Quantization;

/// <summary>The definition of llama2.c's int8 weights (its Q8_0): symmetric, in groups that share one scale. w ≈ q · scale.</summary>
/// <remarks>Scalar and exact; the engine's kernels are tested against it.</remarks>
public static class Int8Groups
{
    /// <summary>Largest quantised magnitude; -128 is not used.</summary>
    public const float MaxMagnitude = 127f;

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
            var max = 0f;
            foreach (var value in w)
            {
                if (!float.IsFinite(value))
                    return false;
                max = Math.Max(max, Math.Abs(value));
            }
            var scale = scales[group] = max / MaxMagnitude;
            for (var i = 0; i < groupSize; i++)
                q[i] = scale == 0 ? (sbyte)0 : (sbyte)Math.Clamp(MathF.Round(w[i] / scale, MidpointRounding.ToEven), -MaxMagnitude, MaxMagnitude);
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
        for (var i = 0; i < quantized.Length; i++)
            values[i] = quantized[i] * scales[i / groupSize];
    }

    /// <summary>Largest and mean |w - q · scale|.</summary>
    public static (float Max, double Mean) Error(ReadOnlySpan<float> values, ReadOnlySpan<sbyte> quantized, ReadOnlySpan<float> scales, int groupSize)
    {
        var max = 0f;
        var sum = 0.0;
        for (var group = 0; group < scales.Length; group++)
        {
            var scale = scales[group];
            var q = quantized.Slice(group * groupSize, groupSize);
            var w = values.Slice(group * groupSize, groupSize);
            for (var i = 0; i < w.Length; i++)
            {
                var error = Math.Abs(w[i] - q[i] * scale);
                max = Math.Max(max, error);
                sum += error;
            }
        }
        return (max, values.Length == 0 ? 0 : sum / values.Length);
    }
}
