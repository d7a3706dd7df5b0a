using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Training.Kernels;

/// <summary>
/// The operators of a model on a tile: some neighbouring tokens of a sequence, two cache lines wide, with the tokens side by side in each
/// feature's row. So no operator adds across a register, none has a rest, and a product reads its right side as it lies. Knows nothing
/// about torch, threads or layers.
/// </summary>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
internal static unsafe class TokenTile<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Tokens in a tile: 32 in float32, whatever the registers are.</summary>
    public static readonly int Length = 2 * LineLength;

    /// <summary>Values in a cache line, of which there are always two in a feature's row.</summary>
    public static int LineLength => Vector512<T>.Count;

    /// <summary>So many features, filled up to whole blocks: <see cref="ToRows"/>.</summary>
    public static int WholeBlocks(int features) => (features + Length - 1) / Length * Length;

    /// <summary>A tile token by token: in blocks of as many features as tokens, each (tokens, features).</summary>
    /// <param name="features">How many.</param>
    /// <param name="x">(features, tile).</param>
    /// <param name="rows">(<see cref="WholeBlocks"/>, tile); what lies after the last feature of a token stays.</param>
    public static void ToRows(int features, T* x, T* rows)
    {
        for (var first = 0; first < features; first += Length)
            Transposition.Compute(Math.Min(Length, features - first), Length, x + first * Length, Length, rows + first * Length, Length);
    }

    /// <summary>Asks for some features, so that they are in the second cache when they are read or written.</summary>
    public static void Prefetch(int features, T* x)
    {
        if (!Sse.IsSupported)
            return;
        for (nint i = 0; i < (nint)features * Length; i += LineLength)
            Sse.Prefetch1(x + i);
    }

    /// <summary>y += x.</summary>
    public static void Add<V>(int features, T* x, T* y) where V : unmanaged, IRegister<V, T>
    {
        for (nint i = 0; i < (nint)features * Length; i += V.Count)
            (V.Load(y + i) + V.Load(x + i)).Store(y + i);
    }

    /// <summary>y = x · factor.</summary>
    public static void Scale<V>(int features, T factor, T* x, T* y) where V : unmanaged, IRegister<V, T>
    {
        for (nint i = 0; i < (nint)features * Length; i += V.Count)
            (V.Load(x + i) * factor).Store(y + i);
    }

    /// <summary>x *= factors, one for each token.</summary>
    public static void Scale<V>(int features, T* factors, T* x) where V : unmanaged, IRegister<V, T>
    {
        for (var lane = 0; lane < Length; lane += V.Count)
        {
            var factor = V.Load(factors + lane);
            for (nint i = lane; i < (nint)features * Length; i += Length)
                (V.Load(x + i) * factor).Store(x + i);
        }
    }

    /// <summary>RMSNorm of each token, y = w ∘ x · r with r = 1 / sqrt(mean(x²) + ε).</summary>
    public static void Norm<V>(int dim, T epsilon, T* x, T* w, T* y) where V : unmanaged, IRegister<V, T>
    {
        for (var first = 0; first < Length; first += 2 * V.Count)
        {
            var (r0, r1) = NormFactors<V>(dim, epsilon, x + first);
            T* from = x + first, to = y + first;
            for (var f = 0; f < dim; f++, from += Length, to += Length)
            {
                (V.Load(from) * r0 * w[f]).Store(to);
                (V.Load(from + V.Count) * r1 * w[f]).Store(to + V.Count);
            }
        }
    }

    /// <summary>With the gradient g by y, adds r · (w ∘ g - x · r² · mean(w ∘ g ∘ x)) to that by x, and g ∘ x · r to that by w.</summary>
    /// <param name="dim">Features.</param>
    /// <param name="epsilon">As in the forward pass.</param>
    /// <param name="x">As in the forward pass.</param>
    /// <param name="w">As in the forward pass.</param>
    /// <param name="gradient">By y.</param>
    /// <param name="gradientX">Added to.</param>
    /// <param name="gradientW">(dim, values of a cache line), added to: the sum over the line is the gradient.</param>
    public static void NormBackward<V>(int dim, T epsilon, T* x, T* w, T* gradient, T* gradientX, T* gradientW) where V : unmanaged, IRegister<V, T>
    {
        for (var first = 0; first < Length; first += 2 * V.Count)
            NormBackwardOfTwo<V>(dim, epsilon, x + first, w, gradient + first, gradientX + first, gradientW + first / 2);
    }

    private static void NormBackwardOfTwo<V>(int dim, T epsilon, T* x, T* w, T* gradient, T* gradientX, T* gradientW) where V : unmanaged, IRegister<V, T>
    {
        var (r0, r1) = NormFactors<V>(dim, epsilon, x);
        V sum0 = default, sum1 = default;
        for (var f = 0; f < dim; f++)
        {
            var at = f * Length;
            sum0 = V.MultiplyAdd(V.Load(x + at) * w[f], V.Load(gradient + at), sum0);
            sum1 = V.MultiplyAdd(V.Load(x + at + V.Count) * w[f], V.Load(gradient + at + V.Count), sum1);
        }
        var share = T.One / T.CreateTruncating(dim);
        V mean0 = sum0 * r0 * r0 * share, mean1 = sum1 * r1 * r1 * share;
        for (var f = 0; f < dim; f++, x += Length, gradient += Length, gradientX += Length, gradientW += LineLength)
        {
            V x0 = V.Load(x), x1 = V.Load(x + V.Count), g0 = V.Load(gradient), g1 = V.Load(gradient + V.Count);
            V.MultiplyAdd(g0 * x0, r0, V.MultiplyAdd(g1 * x1, r1, V.Load(gradientW))).Store(gradientW);
            V.MultiplyAdd(g0 * w[f] - x0 * mean0, r0, V.Load(gradientX)).Store(gradientX);
            V.MultiplyAdd(g1 * w[f] - x1 * mean1, r1, V.Load(gradientX + V.Count)).Store(gradientX + V.Count);
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
    public static void Rotate<V>(int heads, int pairs, T* cos, T* sin, T factor, bool back, T* x) where V : unmanaged, IRegister<V, T>
    {
        var sinFactor = back ? -factor : factor;
        for (var head = 0; head < heads; head++)
        {
            for (var i = 0; i < pairs * Length; i += Length)
            {
                for (var lane = 0; lane < Length; lane += V.Count, x += V.Count)
                {
                    V c = V.Load(cos + i + lane) * factor, s = V.Load(sin + i + lane) * sinFactor;
                    V re = V.Load(x), im = V.Load(x + Length);
                    V.MultiplyAdd(re, c, -im * s).Store(x);
                    V.MultiplyAdd(re, s, im * c).Store(x + Length);
                }
                x += Length;
            }
        }
    }

    /// <summary>The sum over the tokens of -log softmax(scores)[target] · factor. Scores become its gradient, (softmax(scores) - onehot(target)) · factor, but for a factor of each token.</summary>
    /// <remarks>That factor is not multiplied in because scores are a tile's largest values by far: what they are multiplied with is smaller.</remarks>
    /// <param name="vocabulary">Rows of the scores.</param>
    /// <param name="scores">Overwritten.</param>
    /// <param name="targets">One for each token; -1 does not count.</param>
    /// <param name="factor">One over the number of tokens that count in the whole batch.</param>
    /// <param name="factors">(tile): what to multiply with for the gradient.</param>
    public static double CrossEntropy<V>(int vocabulary, T* scores, ReadOnlySpan<long> targets, double factor, T* factors) where V : unmanaged, IRegister<V, T>
    {
        var loss = 0.0;
        for (var first = 0; first < Length; first += 2 * V.Count)
        {
            T* column = scores + first, ownFactors = factors + first;
            V max0 = V.Load(column), max1 = V.Load(column + V.Count);
            for (nint i = Length; i < (nint)vocabulary * Length; i += Length)
                (max0, max1) = (V.Max(max0, V.Load(column + i)), V.Max(max1, V.Load(column + i + V.Count)));
            var wanted = targets.Slice(first, 2 * V.Count);
            max0.Store(ownFactors);
            max1.Store(ownFactors + V.Count);
            for (var lane = 0; lane < wanted.Length; lane++)
                loss += wanted[lane] < 0 ? 0 : double.CreateTruncating(ownFactors[lane] - column[(nint)wanted[lane] * Length + lane]) * factor;

            V sum0 = default, sum1 = default;
            for (nint i = 0; i < (nint)vocabulary * Length; i += Length)
            {
                V e0 = Lanes.Exp<V, T>(V.Load(column + i) - max0), e1 = Lanes.Exp<V, T>(V.Load(column + i + V.Count) - max1);
                e0.Store(column + i);
                e1.Store(column + i + V.Count);
                (sum0, sum1) = (sum0 + e0, sum1 + e1);
            }
            sum0.Store(ownFactors);
            sum1.Store(ownFactors + V.Count);
            for (var lane = 0; lane < wanted.Length; lane++)
            {
                var sum = ownFactors[lane];
                ownFactors[lane] = wanted[lane] < 0 ? T.Zero : T.CreateTruncating(factor) / sum;
                if (wanted[lane] < 0)
                    continue;
                loss += Math.Log(double.CreateTruncating(sum)) * factor;
                column[(nint)wanted[lane] * Length + lane] -= sum;
            }
        }
        return loss;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (V First, V Second) NormFactors<V>(int dim, T epsilon, T* x) where V : unmanaged, IRegister<V, T>
    {
        V sum0 = default, sum1 = default;
        for (var f = 0; f < dim; f++, x += Length)
        {
            V x0 = V.Load(x), x1 = V.Load(x + V.Count);
            sum0 = V.MultiplyAdd(x0, x0, sum0);
            sum1 = V.MultiplyAdd(x1, x1, sum1);
        }
        var share = T.One / T.CreateTruncating(dim);
        V added = V.Create(epsilon), one = V.Create(T.One);
        return (one / V.Sqrt(sum0 * share + added), one / V.Sqrt(sum1 * share + added));
    }
}
