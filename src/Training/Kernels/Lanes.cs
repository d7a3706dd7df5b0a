using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace LlamaFullstack.Training.Kernels;

/// <summary>Which registers the kernels are worth using with, and the arithmetic on them that .NET lacks, for float32 and, so that gradients can be checked, float64.</summary>
internal static class Lanes
{
    /// <summary>Whether the kernels of 512 bits are worth using: elsewhere a Vector512 is several registers, and libtorch's operators are as fast.</summary>
    public static bool AreFast => Vector512.IsHardwareAccelerated;

    /// <summary>Whether tiles are worth using: 512 and 256 bits are, 128 bits of a PC are not (docs/LOG.md 2026-11-28), and NEON's, which multiply and add at once, were not measured.</summary>
    public static bool AreFastInTiles => Vector256.IsHardwareAccelerated || AdvSimd.IsSupported;

    /// <summary>a · b + c, rounded once where the processor can.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> MultiplyAdd<T>(Vector512<T> a, Vector512<T> b, Vector512<T> c) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        typeof(T) == typeof(float) ? Vector512.MultiplyAddEstimate(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, T>()
            : Vector512.MultiplyAddEstimate(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, T>();

    /// <summary>exp(x), within 2 ulp; 0 below the least exponent, NaN for the NaN that arithmetic gives (others may give any number).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Exp<T>(Vector512<T> x) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Exp<Register512<T>, T>(new(x)).Value;

    /// <summary>The same in a register of any width.</summary>
    // 2^n · e^r with n whole and |r| <= ln 2 / 2, and of e^r the polynomial of degree 6 from Cephes' expf. .NET's Vector512.Exp
    // computes in float64, which takes three times as long (docs/LOG.md).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<V, T>(V x) where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        const float Least = -87.33f; // e^x is a normal number above
        const float Greatest = 88.37f;
        if (typeof(T) != typeof(float))
            return V.ExpOfDoubles(x);
        var bounded = V.Min(Of<V, T>(Greatest), x);
        var shifted = V.MultiplyAdd(Of<V, T>(1.44269504f), bounded, Of<V, T>(Shifter)); // log2 e
        var n = shifted - Of<V, T>(Shifter);
        var r = V.MultiplyAdd(n, Of<V, T>(-0.693359375f), bounded); // ln 2 in two parts
        r = V.MultiplyAdd(n, Of<V, T>(2.12194440e-4f), r);
        var r2 = r * r;
        var p = V.MultiplyAdd(r2, V.MultiplyAdd(Of<V, T>(1.9875691500e-4f), r, Of<V, T>(1.3981999507e-3f)), V.MultiplyAdd(Of<V, T>(8.3334519073e-3f), r, Of<V, T>(4.1665795894e-2f)));
        p = V.MultiplyAdd(p, r2, V.MultiplyAdd(Of<V, T>(1.6666665459e-1f), r, Of<V, T>(5.0000001201e-1f)));
        p = V.MultiplyAdd(p, r2, r) + Of<V, T>(1);
        return V.ZeroBelow(Unsafe.BitCast<float, T>(Least), x, V.TimesPowerOfTwo(p, shifted)); // which also takes out what overflowed on the way
    }

    /// <summary>2^x for x up to 127, within 2 ulp; 0 below -125.5, NaN for the NaN that arithmetic gives (others may give any number).</summary>
    // 2^n · 2^f with n whole and |f| <= 1/2, and of 2^f the polynomial of degree 6 and 1 at 0 whose greatest error, 2e-9 of it, is the least. Here and above its terms are
    // taken by twos: a loop of exponentials is bound by how long each value waits for the one before.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp2<V, T>(V x) where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        const float Least = -125.5f; // 2^x is a normal number above
        if (typeof(T) != typeof(float))
            return V.ExpOfDoubles(x * T.CreateTruncating(Math.Log(2)));
        var shifted = x + Of<V, T>(Shifter);
        var f = x - (shifted - Of<V, T>(Shifter));
        var f2 = f * f;
        var p = V.MultiplyAdd(f2, Of<V, T>(1.5353362e-4f), V.MultiplyAdd(Of<V, T>(1.33988739e-3f), f, Of<V, T>(9.61843692e-3f)));
        p = V.MultiplyAdd(f2, p, V.MultiplyAdd(Of<V, T>(5.55033237e-2f), f, Of<V, T>(2.40226477e-1f)));
        p = V.MultiplyAdd(f2, p, V.MultiplyAdd(Of<V, T>(6.93147182e-1f), f, Of<V, T>(1)));
        return V.ZeroBelow(Unsafe.BitCast<float, T>(Least), x, V.TimesPowerOfTwo(p, shifted));
    }

    private const float Shifter = 12582912f; // 1.5 · 2^23: what is added to it is rounded to a whole number, in the low bits

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Of<V, T>(float value) where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> => V.Create(Unsafe.BitCast<float, T>(value));
}
