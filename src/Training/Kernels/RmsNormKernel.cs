using System.Numerics;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>RMSNorm of one row, y = w ∘ x · r with r = 1 / sqrt(mean(x²) + ε), forward and backward.</summary>
/// <remarks>With the gradient g by y: dw = g ∘ x · r and dx = r · (w ∘ g - x · r² · mean(w ∘ g ∘ x)).</remarks>
internal static unsafe class RmsNormKernel
{
    /// <summary>y = w ∘ x · r.</summary>
    public static void Forward<T>(int dim, T epsilon, T* x, T* w, T* y) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = Vector512<T>.Count;
        var r = Factor(dim, epsilon, x);
        var factor = Vector512.Create(r);
        var i = 0;
        for (; i + lanes <= dim; i += lanes)
            Vector512.Store(Vector512.Load(x + i) * factor * Vector512.Load(w + i), y + i);
        for (; i < dim; i++)
            y[i] = x[i] * r * w[i];
    }

    /// <summary>Adds the gradients by x and w to those that are there.</summary>
    public static void Backward<T>(int dim, T epsilon, T* x, T* w, T* gradient, T* gradientX, T* gradientW) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = Vector512<T>.Count;
        var r = Factor(dim, epsilon, x);
        var sum = Vector512<T>.Zero;
        var i = 0;
        for (; i + lanes <= dim; i += lanes)
            sum = Lanes.MultiplyAdd(Vector512.Load(x + i) * Vector512.Load(w + i), Vector512.Load(gradient + i), sum);
        var total = Vector512.Sum(sum);
        for (; i < dim; i++)
            total += x[i] * w[i] * gradient[i];
        var mean = total * r * r / T.CreateTruncating(dim);
        var (factor, shares) = (Vector512.Create(r), Vector512.Create(mean));
        for (i = 0; i + lanes <= dim; i += lanes)
        {
            var (xs, gs) = (Vector512.Load(x + i), Vector512.Load(gradient + i));
            Vector512.Store(Lanes.MultiplyAdd(gs * xs, factor, Vector512.Load(gradientW + i)), gradientW + i);
            Vector512.Store(Lanes.MultiplyAdd(gs * Vector512.Load(w + i) - xs * shares, factor, Vector512.Load(gradientX + i)), gradientX + i);
        }
        for (; i < dim; i++)
        {
            gradientW[i] += gradient[i] * x[i] * r;
            gradientX[i] += (gradient[i] * w[i] - x[i] * mean) * r;
        }
    }

    private static T Factor<T>(int dim, T epsilon, T* x) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = Vector512<T>.Count;
        var sum = Vector512<T>.Zero;
        var i = 0;
        for (; i + lanes <= dim; i += lanes)
            sum = Lanes.MultiplyAdd(Vector512.Load(x + i), Vector512.Load(x + i), sum);
        var total = Vector512.Sum(sum);
        for (; i < dim; i++)
            total += x[i] * x[i];
        return T.One / T.Sqrt(total / T.CreateTruncating(dim) + epsilon);
    }
}
