using System.Runtime.Intrinsics;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>How a processor with AVX2 multiplies bytes: four neighbours each, summed into an int32 lane.</summary>
internal interface IByteProducts
{
    /// <summary>What <see cref="Weights"/> adds to every weight, and so every sum must be corrected by, times Σ x.</summary>
    static abstract int Bias { get; }

    /// <summary>Signed weights in the form that <see cref="MultiplyAdd"/> takes.</summary>
    static abstract Vector256<byte> Weights(Vector256<sbyte> w);

    /// <summary>sum + (w + Bias) · x.</summary>
    /// <param name="sum">Sums of four products each.</param>
    /// <param name="w">From <see cref="Weights"/>.</param>
    /// <param name="x">−127 to 127.</param>
    static abstract Vector256<int> MultiplyAdd(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x);

    /// <summary>sum + w · x for weights of 0 to 15.</summary>
    static abstract Vector256<int> MultiplyAddCodes(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x);
}
