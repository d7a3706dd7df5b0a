using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Products of bytes with AVX2 alone.</summary>
internal readonly struct Avx2Products : IByteProducts
{
    public static int Bias => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Weights(Vector256<sbyte> w) => w.AsByte();

    // The instruction multiplies unsigned by signed: w · x = |w| · (x with w's sign). Two products fit an int16: 2 · 128 · 127 = 32,512.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x) =>
        MultiplyAddCodes(sum, Avx2.Abs(w.AsSByte()), Avx2.Sign(x, w.AsSByte()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAddCodes(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x) =>
        sum + Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(w, x), Vector256<short>.One);

    /// <summary>Σ |x| over x &lt; 0.</summary>
    /// <param name="x">(n).</param>
    /// <param name="n">A multiple of 32.</param>
    public static unsafe int SumOfNegatives(sbyte* x, nint n)
    {
        var sum = Vector256<int>.Zero;
        for (nint i = 0; i < n; i += 32)
            sum = MultiplyAddCodes(sum, Vector256.Max(-Vector256.Load(x + i), Vector256<sbyte>.Zero).AsByte(), Vector256<sbyte>.One);
        return Vector256.Sum(sum);
    }
}
