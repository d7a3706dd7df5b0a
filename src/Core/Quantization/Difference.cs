using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Quantization;

/// <summary>What converting weights cost.</summary>
public static class Difference
{
    /// <summary>Largest and summed |a - b|.</summary>
    /// <param name="a">Weights.</param>
    /// <param name="b">What they became, as many.</param>
    /// <remarks>A block's sum is float32, with an error of at most 2^-20 of itself; those of the blocks are summed in float64.</remarks>
    public static (float Max, double Sum) Of(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        const int Block = 64; // 8 summands a lane, 8 lanes
        var max = Vector256<float>.Zero;
        var sum = 0.0;
        var i = 0;
        for (; i <= a.Length - Vector256<float>.Count;)
        {
            var blockSum = Vector256<float>.Zero;
            for (var end = Math.Min(i + Block, a.Length); i <= end - Vector256<float>.Count; i += Vector256<float>.Count)
            {
                var difference = Vector256.Abs(Vector256.Create(a[i..]) - Vector256.Create(b[i..]));
                max = Vector256.Max(max, difference);
                blockSum += difference;
            }
            sum += Vector256.Sum(blockSum);
        }
        var largest = 0f;
        for (var lane = 0; lane < Vector256<float>.Count; lane++)
            largest = Math.Max(largest, max[lane]);
        for (; i < a.Length; i++)
        {
            var difference = Math.Abs(a[i] - b[i]);
            largest = Math.Max(largest, difference);
            sum += difference;
        }
        return (largest, sum);
    }
}
