using System.Numerics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>y = silu(a) ∘ b, where silu(a) = a · σ(a) and σ(a) = 1 / (1 + e^-a), forward and backward.</summary>
/// <remarks>With the gradient g by y: da = g ∘ b ∘ σ(a) ∘ (1 + a ∘ (1 - σ(a))) and db = g ∘ silu(a).</remarks>
internal static unsafe class SwiGluKernel
{
    /// <summary>y = silu(a) ∘ b.</summary>
    public static void Forward<V, T>(int length, T* a, T* b, T* y) where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var (lanes, one) = (V.Count, V.Create(T.One));
        var i = 0;
        for (; i + lanes <= length; i += lanes)
        {
            var v = V.Load(a + i);
            (v * V.Load(b + i) / (one + Lanes.Exp<V, T>(-v))).Store(y + i);
        }
        for (; i < length; i++)
            y[i] = a[i] * b[i] / (T.One + T.Exp(-a[i]));
    }

    /// <summary>Writes the gradients by a and b.</summary>
    public static void Backward<V, T>(int length, T* a, T* b, T* gradient, T* gradientA, T* gradientB)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var (lanes, one) = (V.Count, V.Create(T.One));
        var i = 0;
        for (; i + lanes <= length; i += lanes)
        {
            V v = V.Load(a + i), g = V.Load(gradient + i);
            var sigmoid = one / (one + Lanes.Exp<V, T>(-v));
            var silu = v * sigmoid;
            (g * silu).Store(gradientB + i);
            (g * V.Load(b + i) * V.MultiplyAdd(silu, one - sigmoid, sigmoid)).Store(gradientA + i);
        }
        for (; i < length; i++)
        {
            var sigmoid = T.One / (T.One + T.Exp(-a[i]));
            gradientB[i] = gradient[i] * a[i] * sigmoid;
            gradientA[i] = gradient[i] * b[i] * sigmoid * (T.One + a[i] * (T.One - sigmoid));
        }
    }
}
