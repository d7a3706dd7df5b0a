using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Quantization;

/// <summary>What converting weights cost.</summary>
public static class Difference
{
    /// <summary>Largest and summed |a - b|; NaN where one of them is.</summary>
    /// <param name="a">Weights.</param>
    /// <param name="b">What they became, as many.</param>
    /// <remarks>A block's sum is float32, with an error of at most 2^-18 of itself; those of the blocks are summed in float64.</remarks>
    public static (float Max, double Sum) Of(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        const int Block = 512; // 64 summands a lane
        var max = Vector256<int>.Zero; // as bits: see Magnitude
        var sum = 0.0;
        var i = 0;
        while (i <= a.Length - Vector256<float>.Count)
        {
            var blockSum = Vector256<float>.Zero;
            for (var end = Math.Min(i + Block, a.Length); i <= end - Vector256<float>.Count; i += Vector256<float>.Count)
            {
                var difference = Vector256.Abs(Vector256.Create(a[i..]) - Vector256.Create(b[i..]));
                max = Vector256.Max(max, difference.AsInt32());
                blockSum += difference;
            }
            sum += Vector256.Sum(blockSum);
        }
        var largest = BitConverter.Int32BitsToSingle(Magnitude.LargestLane(max));
        for (; i < a.Length; i++)
        {
            var difference = Math.Abs(a[i] - b[i]);
            largest = Math.Max(largest, difference);
            sum += difference;
        }
        return (largest, sum);
    }
}
