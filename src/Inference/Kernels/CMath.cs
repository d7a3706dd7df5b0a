using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>What llama2.c computes one number after the other, eight at once and to its very bits.</summary>
internal static unsafe class CMath
{
    /// <summary>Numbers in a register.</summary>
    public const int Count = 8;

    /// <summary>Below, exp has fewer digits in float64.</summary>
    public const float LeastOfFloat64 = -700f;

    // Below, exp is 0 in float32; from there to the next it has fewer digits, and is rounded elsewhere; beyond the last it is infinite.
    private const float Least = -104f;
    private const float LeastWithAllDigits = -87f;
    private const float Most = 88f;

    // The sum of this and a whole number holds that in its lowest bits: 1.5 · 2⁵².
    private const double Rounder = 6_755_399_441_055_744;

    // Bits of a float64 beyond a float32's; how near the middle between two float32 C is asked, 0.0039 of a last place.
    private const int BitsBeyond = 29;
    private const long Margin = 1L << (BitsBeyond - 8);

    /// <summary>to[i] = expf(x[i]), as <see cref="MathF.Exp"/> has it from C one by one.</summary>
    /// <param name="x">Eight numbers.</param>
    /// <param name="to">(8).</param>
    /// <remarks>
    /// float64 has exp to far more digits than float32. Rounded, it is what C gives, unless it lies so near the middle between two float32 that
    /// C's own error decides, 0.0022 of a last place in glibc and musl: then C is asked. A C library that errs by more may differ elsewhere, by a last place.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Exp(Vector256<float> x, float* to)
    {
        var (low, high) = Vector256.Widen(x);
        var (a, b) = (Exp(low), Exp(high));
        var vanishes = Vector256.LessThan(x, Vector256.Create(Least));
        var isOrdinary = Vector256.GreaterThanOrEqual(x, Vector256.Create(LeastWithAllDigits)) & Vector256.LessThanOrEqual(x, Vector256.Create(Most));
        Vector256.AndNot(Vector256.Narrow(a, b), vanishes).Store(to);
        var open = ~(vanishes | isOrdinary).ExtractMostSignificantBits() & 0xff | NearTheMiddle(a) | NearTheMiddle(b) << 4;
        if (open != 0)
            AskC(x, to, open);
    }

    /// <summary>to[i] = expf(x[i] / divisor − max): what softmax divides by their sum.</summary>
    /// <param name="x">(n).</param>
    /// <param name="divisor">Above 0.</param>
    /// <param name="max">The greatest of the quotients.</param>
    /// <param name="to">(n); may be <paramref name="x"/>.</param>
    /// <param name="n">Any number.</param>
    /// <returns>The sum, from the first to the last.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Exponentials(float* x, float divisor, float max, float* to, int n)
    {
        var (sum, i) = (0f, 0);
        for (; i <= n - Count; i += Count)
        {
            var quotients = Vector256.Load(x + i);
            if (divisor != 1)
                quotients /= Vector256.Create(divisor);
            Exp(quotients - Vector256.Create(max), to + i);
            sum = AddInOrder(sum, Vector256.Load(to + i));
        }
        for (; i < n; i++)
            sum += to[i] = MathF.Exp(x[i] / divisor - max);
        return sum;
    }

    /// <summary>exp(x) within 2⁻³⁶ of it; .NET's own is a call for every register.</summary>
    /// <param name="x">Four numbers from <see cref="LeastOfFloat64"/> to 700; of others it gives anything.</param>
    /// <remarks>exp(x) = 2ⁿ · exp(r) with n = round(x / ln 2) and |r| ≤ ln 2 / 2, where ten terms of the series are as near.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Exp(Vector256<double> x)
    {
        const double log2 = 0.69314718055994531;
        var shifted = Vector256.MultiplyAddEstimate(x, Vector256.Create(1 / log2), Vector256.Create(Rounder));
        var r = Vector256.MultiplyAddEstimate(shifted - Vector256.Create(Rounder), Vector256.Create(-log2), x);
        // By fours, not one after the other: the shorter the way to the last, the more registers are on it at a time.
        var r2 = r * r;
        var first = Terms(r, r2, 1, 1, 1.0 / 2, 1.0 / 6);
        var second = Terms(r, r2, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5_040);
        var last = Vector256.MultiplyAddEstimate(r, Vector256.Create(1.0 / 362_880), Vector256.Create(1.0 / 40_320));
        var p = Vector256.MultiplyAddEstimate(r2 * r2, Vector256.MultiplyAddEstimate(r2 * r2, last, second), first);
        return (p.AsInt64() + (shifted.AsInt64() << 52)).AsDouble();
    }

    /// <summary>sum + terms[0] + terms[1] …, rounded at each.</summary>
    /// <param name="sum">At least 0.</param>
    /// <param name="terms">Each at least 0.</param>
    /// <remarks>Less than half of its last place leaves a sum as it is. Where that is all there is, as with most of a vocabulary, nothing is added.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float AddInOrder(float sum, Vector256<float> terms)
    {
        const float leastPart = 1f / (1 << 25); // half of a last place is more; or as much, where this part is so small that it is rounded
        return Vector256.LessThanAll(terms, Vector256.Create(sum * leastPart))
            ? sum
            : sum + terms[0] + terms[1] + terms[2] + terms[3] + terms[4] + terms[5] + terms[6] + terms[7];
    }

    /// <summary>a + b·r + c·r² + d·r³.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<double> Terms(Vector256<double> r, Vector256<double> r2, double a, double b, double c, double d) =>
        Vector256.MultiplyAddEstimate(r2, Vector256.MultiplyAddEstimate(r, Vector256.Create(d), Vector256.Create(c)), Vector256.MultiplyAddEstimate(r, Vector256.Create(b), Vector256.Create(a)));

    /// <summary>A bit for each number that lies near the middle between two float32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint NearTheMiddle(Vector256<double> v)
    {
        const long middle = 1L << (BitsBeyond - 1);
        var beyond = v.AsInt64() - Vector256.Create(middle - Margin); // 0 to 2 · Margin − 1 near the middle
        return Vector256.Equals(beyond & Vector256.Create((1L << BitsBeyond) - 2 * Margin), Vector256<long>.Zero).ExtractMostSignificantBits();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AskC(Vector256<float> x, float* to, uint lanes)
    {
        for (; lanes != 0; lanes &= lanes - 1)
        {
            var lane = BitOperations.TrailingZeroCount(lanes);
            to[lane] = MathF.Exp(x[lane]);
        }
    }
}
