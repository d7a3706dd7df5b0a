using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>What the kernels need of a register beyond .NET's own Vector512, for float32 and, so that gradients can be checked, float64.</summary>
internal static class Lanes
{
    /// <summary>Whether the kernels are worth using: elsewhere a Vector512 is several registers, and libtorch's operators are as fast.</summary>
    public static bool AreFast => Vector512.IsHardwareAccelerated;

    /// <summary>a · b + c, rounded once where the processor can.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> MultiplyAdd<T>(Vector512<T> a, Vector512<T> b, Vector512<T> c) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        typeof(T) == typeof(float) ? Vector512.MultiplyAddEstimate(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, T>()
            : Vector512.MultiplyAddEstimate(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, T>();

    /// <summary>exp(x), within 2 ulp; 0 below the least exponent, NaN for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Exp<T>(Vector512<T> x) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        typeof(T) == typeof(float) ? Exp(x.AsSingle()).As<float, T>() : Vector512.Exp(x.AsDouble()).As<double, T>();

    // 2^n · e^r with n whole and |r| <= ln 2 / 2, and of e^r the polynomial of degree 6 from Cephes' expf. .NET's Vector512.Exp
    // computes in float64, which takes three times as long (docs/LOG.md).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Exp(Vector512<float> x)
    {
        const float Least = -87.33f; // e^x is a normal number above
        const float Greatest = 88.37f;
        const float Shifter = 12582912f; // 1.5 · 2^23: what is added to it is rounded to a whole number, in the low bits
        var bounded = Vector512.MinNative(Vector512.Create(Greatest), Vector512.MaxNative(Vector512.Create(Least), x));
        var shifted = MultiplyAdd(bounded, Vector512.Create(1.44269504f), Vector512.Create(Shifter)); // log2 e
        var n = shifted - Vector512.Create(Shifter);
        var r = MultiplyAdd(n, Vector512.Create(-0.693359375f), bounded); // ln 2 in two parts
        r = MultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        var p = MultiplyAdd(r, Vector512.Create(1.9875691500e-4f), Vector512.Create(1.3981999507e-3f));
        p = MultiplyAdd(p, r, Vector512.Create(8.3334519073e-3f));
        p = MultiplyAdd(p, r, Vector512.Create(4.1665795894e-2f));
        p = MultiplyAdd(p, r, Vector512.Create(1.6666665459e-1f));
        p = MultiplyAdd(p, r, Vector512.Create(5.0000001201e-1f));
        p = MultiplyAdd(p, r * r, r) + Vector512<float>.One;
        var power = (p.AsInt32() + (shifted.AsInt32() << 23)).AsSingle();
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(Least)), Vector512<float>.Zero, power);
    }
}
