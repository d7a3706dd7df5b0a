using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>
/// The operators of a model on a tile: some neighbouring tokens of a sequence, two registers wide, with the tokens side by side in each
/// feature's row. So no operator adds across a register, none has a rest, and a product reads its right side as it lies. Knows nothing
/// about torch, threads or layers.
/// </summary>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
internal static unsafe class TokenTile<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Tokens in a tile: 32 in float32.</summary>
    public static readonly int Length = 2 * Vector512<T>.Count;

    private static int Lanes512 => Vector512<T>.Count;

    /// <summary>Values from one token's features to the next's, where they lie token by token: an odd number of registers, so that tokens in turn fall into all sets of a cache.</summary>
    public static int RowLength(int features) => ((features + Lanes512 - 1) / Lanes512 | 1) * Lanes512;

    /// <summary>y += x.</summary>
    public static void Add(int features, T* x, T* y)
    {
        for (nint i = 0; i < (nint)features * Length; i += Lanes512)
            Vector512.Store(Vector512.Load(y + i) + Vector512.Load(x + i), y + i);
    }

    /// <summary>y = x · factor.</summary>
    public static void Scale(int features, T factor, T* x, T* y)
    {
        for (nint i = 0; i < (nint)features * Length; i += Lanes512)
            Vector512.Store(Vector512.Load(x + i) * factor, y + i);
    }

    /// <summary>RMSNorm of each token, y = w ∘ x · r with r = 1 / sqrt(mean(x²) + ε).</summary>
    public static void Norm(int dim, T epsilon, T* x, T* w, T* y)
    {
        var (r0, r1) = NormFactors(dim, epsilon, x);
        for (var f = 0; f < dim; f++, x += Length, y += Length)
        {
            Vector512.Store(Vector512.Load(x) * r0 * w[f], y);
            Vector512.Store(Vector512.Load(x + Lanes512) * r1 * w[f], y + Lanes512);
        }
    }

    /// <summary>With the gradient g by y, adds r · (w ∘ g - x · r² · mean(w ∘ g ∘ x)) to that by x, and g ∘ x · r to that by w.</summary>
    /// <param name="dim">Features.</param>
    /// <param name="epsilon">As in the forward pass.</param>
    /// <param name="x">As in the forward pass.</param>
    /// <param name="w">As in the forward pass.</param>
    /// <param name="gradient">By y.</param>
    /// <param name="gradientX">Added to.</param>
    /// <param name="gradientW">(dim, lanes of a register), added to: its sum over the lanes is the gradient.</param>
    public static void NormBackward(int dim, T epsilon, T* x, T* w, T* gradient, T* gradientX, T* gradientW)
    {
        var (r0, r1) = NormFactors(dim, epsilon, x);
        Vector512<T> sum0 = default, sum1 = default;
        for (var f = 0; f < dim; f++)
        {
            var at = f * Length;
            sum0 = Lanes.MultiplyAdd(Vector512.Load(x + at) * w[f], Vector512.Load(gradient + at), sum0);
            sum1 = Lanes.MultiplyAdd(Vector512.Load(x + at + Lanes512) * w[f], Vector512.Load(gradient + at + Lanes512), sum1);
        }
        var share = T.One / T.CreateTruncating(dim);
        var (mean0, mean1) = (sum0 * r0 * r0 * share, sum1 * r1 * r1 * share);
        for (var f = 0; f < dim; f++, x += Length, gradient += Length, gradientX += Length, gradientW += Lanes512)
        {
            Vector512<T> x0 = Vector512.Load(x), x1 = Vector512.Load(x + Lanes512), g0 = Vector512.Load(gradient), g1 = Vector512.Load(gradient + Lanes512);
            Vector512.Store(Lanes.MultiplyAdd(g0 * x0, r0, Lanes.MultiplyAdd(g1 * x1, r1, Vector512.Load(gradientW))), gradientW);
            Vector512.Store(Lanes.MultiplyAdd(g0 * w[f] - x0 * mean0, r0, Vector512.Load(gradientX)), gradientX);
            Vector512.Store(Lanes.MultiplyAdd(g1 * w[f] - x1 * mean1, r1, Vector512.Load(gradientX + Lanes512)), gradientX + Lanes512);
        }
    }

    /// <summary>Turns each pair of neighbouring features of each head by its angle, in place, and multiplies it.</summary>
    /// <param name="heads">How many, one after the other.</param>
    /// <param name="pairs">In a head.</param>
    /// <param name="cos">(pairs, tile).</param>
    /// <param name="sin">(pairs, tile).</param>
    /// <param name="factor">What to multiply with.</param>
    /// <param name="back">Whether to turn backwards.</param>
    /// <param name="x">(heads · pairs · 2, tile).</param>
    public static void Rotate(int heads, int pairs, T* cos, T* sin, T factor, bool back, T* x)
    {
        var sinFactor = back ? -factor : factor;
        for (var head = 0; head < heads; head++)
        {
            for (var i = 0; i < pairs * Length; i += Length)
            {
                for (var half = 0; half < Length; half += Lanes512, x += Lanes512)
                {
                    var (c, s) = (Vector512.Load(cos + i + half) * factor, Vector512.Load(sin + i + half) * sinFactor);
                    var (re, im) = (Vector512.Load(x), Vector512.Load(x + Length));
                    Vector512.Store(Lanes.MultiplyAdd(re, c, -im * s), x);
                    Vector512.Store(Lanes.MultiplyAdd(re, s, im * c), x + Length);
                }
                x += Length;
            }
        }
    }

    /// <summary>The sum over the tokens of -log softmax(scores)[target] · factor. Scores become its gradient, (softmax(scores) - onehot(target)) · factor.</summary>
    /// <param name="vocabulary">Rows of the scores.</param>
    /// <param name="scores">Overwritten.</param>
    /// <param name="targets">One for each token; -1 does not count.</param>
    /// <param name="factor">One over the number of tokens that count in the whole batch.</param>
    public static double CrossEntropy(int vocabulary, T* scores, ReadOnlySpan<long> targets, double factor)
    {
        var loss = 0.0;
        for (var half = 0; half < Length; half += Lanes512)
        {
            var column = scores + half;
            var max = Vector512.Load(column);
            for (nint i = Length; i < (nint)vocabulary * Length; i += Length)
                max = Vector512.Max(max, Vector512.Load(column + i));
            var wanted = targets[half..(half + Lanes512)];
            for (var lane = 0; lane < Lanes512; lane++)
                loss += wanted[lane] < 0 ? 0 : double.CreateTruncating(max[lane] - column[(nint)wanted[lane] * Length + lane]) * factor;

            var sum = Vector512<T>.Zero;
            for (nint i = 0; i < (nint)vocabulary * Length; i += Length)
            {
                var e = Lanes.Exp(Vector512.Load(column + i) - max);
                Vector512.Store(e, column + i);
                sum += e;
            }
            var scale = Vector512<T>.Zero;
            for (var lane = 0; lane < Lanes512; lane++)
            {
                if (wanted[lane] < 0)
                    continue;
                loss += Math.Log(double.CreateTruncating(sum[lane])) * factor;
                scale = scale.WithElement(lane, T.CreateTruncating(factor) / sum[lane]);
            }
            for (nint i = 0; i < (nint)vocabulary * Length; i += Length)
                Vector512.Store(Vector512.Load(column + i) * scale, column + i);
            for (var lane = 0; lane < Lanes512; lane++)
            {
                if (wanted[lane] >= 0)
                    column[(nint)wanted[lane] * Length + lane] -= T.CreateTruncating(factor);
            }
        }
        return loss;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector512<T> First, Vector512<T> Second) NormFactors(int dim, T epsilon, T* x)
    {
        Vector512<T> sum0 = default, sum1 = default;
        for (var f = 0; f < dim; f++, x += Length)
        {
            var (x0, x1) = (Vector512.Load(x), Vector512.Load(x + Lanes512));
            sum0 = Lanes.MultiplyAdd(x0, x0, sum0);
            sum1 = Lanes.MultiplyAdd(x1, x1, sum1);
        }
        var (share, added) = (T.One / T.CreateTruncating(dim), Vector512.Create(epsilon));
        return (Vector512<T>.One / Vector512.Sqrt(sum0 * share + added), Vector512<T>.One / Vector512.Sqrt(sum1 * share + added));
    }
}
