using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Quantization;

/// <summary>The definition of version 3's 4-bit weights: groups that share one scale, w ≈ (code − 8) · scale, codes 0 to 15.</summary>
/// <remarks>
/// In a group of G weights, byte j holds the code of weight j in its low half and that of weight j + G/2 in its high half: GGUF's Q4_0 has
/// the same bytes for G = 32. Exact, and the same on every processor; the engine's kernels are tested against it.
/// </remarks>
public static class Int4Groups
{
    /// <summary>The code of a weight of 0.</summary>
    public const int Offset = 8;

    // Scales around the one that just reaches the largest weight: clipping it a little often costs less than it gains for all others.
    private const int Candidates = 17;
    private const float CandidateStep = 0.15f;

    private const int MaxGroupOnStack = 1024;

    private static int Lanes => Vector256<float>.Count;

    /// <summary>Of several scales per group, the one with the least Σ (w − (code − 8) · scale)². A group of zeros has scale 0.</summary>
    /// <param name="values">Weights; whole groups.</param>
    /// <param name="groupSize">Weights in a group; even.</param>
    /// <param name="codes">Half as long as <paramref name="values"/>.</param>
    /// <param name="scales">One for each group.</param>
    /// <returns>False if a weight is not a finite number, or too large for a scale in float16; the outputs are then meaningless.</returns>
    public static bool TryQuantize(ReadOnlySpan<float> values, int groupSize, Span<byte> codes, Span<Half> scales)
    {
        Span<int> q = groupSize <= MaxGroupOnStack ? stackalloc int[groupSize] : new int[groupSize];
        for (var group = 0; group < scales.Length; group++)
        {
            var w = values.Slice(group * groupSize, groupSize);
            var largest = Magnitude.LargestSigned(w);
            if (!float.IsFinite(largest))
                return false;
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
        for (var group = 0; group < scales.Length; group++)
            Dequantize(codes.Slice(group * groupSize / 2, groupSize / 2), (float)scales[group], values.Slice(group * groupSize, groupSize));
    }

    /// <summary>code − 8 of one weight of a group.</summary>
    /// <param name="group">The group's first byte.</param>
    /// <param name="index">The weight's place in the group.</param>
    /// <param name="groupSize">Weights in the group.</param>
    public static unsafe int Value(byte* group, int index, int groupSize) =>
        index < groupSize / 2 ? (group[index] & 15) - Offset : (group[index - groupSize / 2] >> 4) - Offset;

    /// <summary>One group's w = (code − 8) · scale.</summary>
    internal static void Dequantize(ReadOnlySpan<byte> codes, float scale, Span<float> w)
    {
        var half = codes.Length;
        var i = 0;
        for (; i <= half - 2 * Lanes; i += 2 * Lanes)
        {
            var (low, high) = Vector128.Widen(Vector128.Create(codes[i..]));
            Unpack(Vector256.WidenLower(low.ToVector256Unsafe()), scale, w[i..], w[(i + half)..]);
            Unpack(Vector256.WidenLower(high.ToVector256Unsafe()), scale, w[(i + Lanes)..], w[(i + Lanes + half)..]);
        }
        for (; i < half; i++)
        {
            w[i] = ((codes[i] & 15) - Offset) * scale;
            w[i + half] = ((codes[i] >> 4) - Offset) * scale;
        }
    }

    private static void Unpack(Vector256<uint> codes, float scale, Span<float> low, Span<float> high)
    {
        var offset = Vector256.Create(Offset);
        (Vector256.ConvertToSingle((codes & Vector256.Create(15u)).AsInt32() - offset) * scale).CopyTo(low);
        (Vector256.ConvertToSingle((codes >> 4).AsInt32() - offset) * scale).CopyTo(high);
    }

    private static Half BestScale(ReadOnlySpan<float> w, float largest)
    {
        if (largest == 0)
            return Half.Zero;
        var (best, least) = ((Half)(largest / -Offset), double.PositiveInfinity);
        for (var candidate = 0; candidate < Candidates; candidate++)
        {
            // The largest weight becomes about −8, the one code whose opposite does not exist.
            var (wq, qq) = Products(w, -(Offset + (candidate - Candidates / 2) * CandidateStep) / largest);
            if (!(qq > 0))
                continue;
            // For these codes the scale with the least squared error is Σ w·q / Σ q², and what it explains of Σ w² is (Σ w·q)² / Σ q².
            var unexplained = -(double)wq * wq / qq;
            if (unexplained < least)
                (best, least) = ((Half)(wq / qq), unexplained);
        }
        return best;
    }

    // Σ w·q and Σ q² of q = round(w · inverse).
    private static (float, float) Products(ReadOnlySpan<float> w, float inverse)
    {
        var (wqs, qqs) = (Vector256<float>.Zero, Vector256<float>.Zero);
        var i = 0;
        for (; i <= w.Length - Lanes; i += Lanes)
        {
            var value = Vector256.Create(w[i..]);
            var q = Rounded(value * inverse);
            wqs += value * q;
            qqs += q * q;
        }
        var (wq, qq) = (Vector256.Sum(wqs), Vector256.Sum(qqs));
        for (; i < w.Length; i++)
        {
            var q = Math.Clamp(MathF.Round(w[i] * inverse), -8f, 7f);
            wq += w[i] * q;
            qq += q * q;
        }
        return (wq, qq);
    }

    private static void Round(ReadOnlySpan<float> w, float scale, Span<int> q)
    {
        if (scale == 0)
        {
            q.Fill(Offset);
            return;
        }
        var i = 0;
        for (; i <= w.Length - Lanes; i += Lanes)
            (Vector256.ConvertToInt32Native(Rounded(Vector256.Create(w[i..]) / scale)) + Vector256.Create(Offset)).CopyTo(q[i..]);
        for (; i < w.Length; i++)
            q[i] = (int)Math.Clamp(MathF.Round(w[i] / scale), -8f, 7f) + Offset;
    }

    private static Vector256<float> Rounded(Vector256<float> quotient) =>
        Vector256.MinNative(Vector256.MaxNative(Vector256.Round(quotient, MidpointRounding.ToEven), Vector256.Create(-8f)), Vector256.Create(7f));

    private static void Pack(ReadOnlySpan<int> q, Span<byte> codes)
    {
        for (var i = 0; i < codes.Length; i++)
            codes[i] = (byte)(q[i] | q[i + codes.Length] << 4);
    }
}
