using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Quantization;

/// <summary>The largest magnitude of some weights, from which a group's scale follows.</summary>
internal static class Magnitude
{
    /// <summary>max|w|; infinity or NaN if there is one among the weights.</summary>
    /// <remarks>Magnitudes of floats are ordered as their bits are, and those that are not finite come after all others.</remarks>
    public static float Largest(ReadOnlySpan<float> values)
    {
        var largest = Vector256<int>.Zero;
        var i = 0;
        for (; i <= values.Length - Vector256<float>.Count; i += Vector256<float>.Count)
            largest = Vector256.Max(largest, Vector256.Abs(Vector256.Create(values[i..])).AsInt32());
        var bits = LargestLane(largest);
        for (; i < values.Length; i++)
            bits = Math.Max(bits, BitConverter.SingleToInt32Bits(Math.Abs(values[i])));
        return BitConverter.Int32BitsToSingle(bits);
    }

    /// <summary>The largest lane.</summary>
    public static int LargestLane(Vector256<int> lanes)
    {
        var four = Vector128.Max(lanes.GetLower(), lanes.GetUpper());
        var two = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return Vector128.Max(two, Vector128.Shuffle(two, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }

    /// <summary>The first weight of the largest magnitude, with its sign; infinity or NaN if there is one among the weights.</summary>
    public static float LargestSigned(ReadOnlySpan<float> values)
    {
        var largest = Largest(values);
        foreach (var value in values)
            if (Math.Abs(value) == largest)
                return value;
        return largest;
    }
}
