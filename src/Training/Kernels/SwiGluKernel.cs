using System.Numerics;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>y = silu(a) ∘ b, where silu(a) = a · σ(a) and σ(a) = 1 / (1 + e^-a), forward and backward.</summary>
/// <remarks>With the gradient g by y: da = g ∘ b ∘ σ(a) ∘ (1 + a ∘ (1 - σ(a))) and db = g ∘ silu(a).</remarks>
internal static unsafe class SwiGluKernel
{
    /// <summary>y = silu(a) ∘ b.</summary>
    public static void Forward<T>(int length, T* a, T* b, T* y) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = Vector512<T>.Count;
        var i = 0;
        for (; i + lanes <= length; i += lanes)
        {
            var v = Vector512.Load(a + i);
            Vector512.Store(v * Vector512.Load(b + i) / (Vector512<T>.One + Lanes.Exp(-v)), y + i);
        }
        for (; i < length; i++)
            y[i] = a[i] * b[i] / (T.One + T.Exp(-a[i]));
    }

    /// <summary>Writes the gradients by a and b.</summary>
    public static void Backward<T>(int length, T* a, T* b, T* gradient, T* gradientA, T* gradientB) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = Vector512<T>.Count;
        var i = 0;
        for (; i + lanes <= length; i += lanes)
        {
            var (v, g) = (Vector512.Load(a + i), Vector512.Load(gradient + i));
            var sigmoid = Vector512<T>.One / (Vector512<T>.One + Lanes.Exp(-v));
            var silu = v * sigmoid;
            Vector512.Store(g * silu, gradientB + i);
            Vector512.Store(g * Vector512.Load(b + i) * Lanes.MultiplyAdd(silu, Vector512<T>.One - sigmoid, sigmoid), gradientA + i);
        }
        for (; i < length; i++)
        {
            var sigmoid = T.One / (T.One + T.Exp(-a[i]));
            gradientB[i] = gradient[i] * a[i] * sigmoid;
            gradientA[i] = gradient[i] * b[i] * sigmoid * (T.One + a[i] * (T.One - sigmoid));
        }
    }
}
