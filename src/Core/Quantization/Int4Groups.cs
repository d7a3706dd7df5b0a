namespace LlamaFullstack.Core.Quantization;

/// <summary>The definition of version 3's 4-bit weights: groups that share one scale, w ≈ (code − 8) · scale, codes 0 to 15.</summary>
/// <remarks>
/// In a group of G weights, byte j holds the code of weight j in its low half and that of weight j + G/2 in its high half: GGUF's Q4_0 has
/// the same bytes for G = 32. Scalar and exact; the engine's kernels are tested against it.
/// </remarks>
public static class Int4Groups
{
    /// <summary>The code of a weight of 0.</summary>
    public const int Offset = 8;

    // Scales around the one that just reaches the largest weight: clipping it a little often costs less than it gains for all others.
    private const int Candidates = 17;
    private const float CandidateStep = 0.15f;

    /// <summary>Of several scales per group, the one with the least Σ (w − (code − 8) · scale)². A group of zeros has scale 0.</summary>
    /// <param name="values">Weights; whole groups.</param>
    /// <param name="groupSize">Weights in a group; even.</param>
    /// <param name="codes">Half as long as <paramref name="values"/>.</param>
    /// <param name="scales">One for each group.</param>
    /// <returns>False if a weight is not a finite number, or too large for a scale in float16; the outputs are then meaningless.</returns>
    public static bool TryQuantize(ReadOnlySpan<float> values, int groupSize, Span<byte> codes, Span<Half> scales)
    {
        Span<int> q = groupSize <= 1024 ? stackalloc int[groupSize] : new int[groupSize];
        for (var group = 0; group < scales.Length; group++)
        {
            var w = values.Slice(group * groupSize, groupSize);
            var largest = 0f;
            foreach (var value in w)
            {
                if (!float.IsFinite(value))
                    return false;
                if (Math.Abs(value) > Math.Abs(largest))
                    largest = value;
            }
            var scale = scales[group] = BestScale(w, largest);
            if (!Half.IsFinite(scale))
                return false;
            Round(w, (float)scale, q);
            Pack(q, codes.Slice(group * groupSize / 2, groupSize / 2));
        }
        return true;
    }

    /// <summary>w = (code − 8) · scale.</summary>
    /// <param name="codes">Half as long as <paramref name="values"/>.</param>
    /// <param name="scales">One for each group.</param>
    /// <param name="groupSize">Weights in a group; even.</param>
    /// <param name="values">Whole groups.</param>
    public static void Dequantize(ReadOnlySpan<byte> codes, ReadOnlySpan<Half> scales, int groupSize, Span<float> values)
    {
        var half = groupSize / 2;
        for (var group = 0; group < scales.Length; group++)
        {
            var scale = (float)scales[group];
            var bytes = codes.Slice(group * half, half);
            var w = values.Slice(group * groupSize, groupSize);
            for (var i = 0; i < half; i++)
            {
                w[i] = ((bytes[i] & 15) - Offset) * scale;
                w[i + half] = ((bytes[i] >> 4) - Offset) * scale;
            }
        }
    }

    /// <summary>code − 8 of one weight of a group.</summary>
    /// <param name="group">The group's first byte.</param>
    /// <param name="index">The weight's place in the group.</param>
    /// <param name="groupSize">Weights in the group.</param>
    public static unsafe int Value(byte* group, int index, int groupSize) =>
        index < groupSize / 2 ? (group[index] & 15) - Offset : (group[index - groupSize / 2] >> 4) - Offset;

    /// <summary>Largest and mean |w − (code − 8) · scale|.</summary>
    public static (float Max, double Mean) Error(ReadOnlySpan<float> values, ReadOnlySpan<byte> codes, ReadOnlySpan<Half> scales, int groupSize)
    {
        Span<float> group = groupSize <= 1024 ? stackalloc float[groupSize] : new float[groupSize];
        var max = 0f;
        var sum = 0.0;
        for (var i = 0; i < scales.Length; i++)
        {
            Dequantize(codes.Slice(i * groupSize / 2, groupSize / 2), scales.Slice(i, 1), groupSize, group);
            for (var j = 0; j < groupSize; j++)
            {
                var error = Math.Abs(values[i * groupSize + j] - group[j]);
                max = Math.Max(max, error);
                sum += error;
            }
        }
        return (max, values.Length == 0 ? 0 : sum / values.Length);
    }

    private static Half BestScale(ReadOnlySpan<float> w, float largest)
    {
        if (largest == 0)
            return Half.Zero;
        var (best, least) = ((Half)(largest / -Offset), double.PositiveInfinity);
        for (var candidate = 0; candidate < Candidates; candidate++)
        {
            // The largest weight becomes about −8, the one code whose opposite does not exist.
            var inverse = -(Offset + (candidate - Candidates / 2) * CandidateStep) / largest;
            var (wq, qq) = (0f, 0f);
            foreach (var value in w)
            {
                var q = Math.Clamp(MathF.Round(value * inverse), -8f, 7f);
                wq += value * q;
                qq += q * q;
            }
            if (!(qq > 0))
                continue;
            // For these codes the scale with the least squared error is Σ w·q / Σ q², and what it explains of Σ w² is (Σ w·q)² / Σ q².
            var unexplained = -(double)wq * wq / qq;
            if (unexplained < least)
                (best, least) = ((Half)(wq / qq), unexplained);
        }
        return best;
    }

    private static void Round(ReadOnlySpan<float> w, float scale, Span<int> q)
    {
        for (var i = 0; i < w.Length; i++)
            q[i] = scale == 0 ? Offset : (int)Math.Clamp(MathF.Round(w[i] / scale), -8f, 7f) + Offset;
    }

    private static void Pack(ReadOnlySpan<int> q, Span<byte> codes)
    {
        for (var i = 0; i < codes.Length; i++)
            codes[i] = (byte)(q[i] | q[i + codes.Length] << 4);
    }
}
