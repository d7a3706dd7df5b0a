using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>What llama2.c computes one number after the other, many at once and to its very bits.</summary>
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
        Vector256<float> exp;
        uint open;
        if (Avx512F.IsSupported)
        {
            var e = Exp(Avx512F.ConvertToVector512Double(x));
            (exp, open) = (Avx512F.ConvertToVector256Single(e), NearTheMiddle(e));
        }
        else
        {
            var (low, high) = Vector256.Widen(x);
            var (a, b) = (Exp(low), Exp(high));
            (exp, open) = (Vector256.Narrow(a, b), NearTheMiddle(a) | NearTheMiddle(b) << 4);
        }
        var vanishes = Vector256.LessThan(x, Vector256.Create(Least));
        var isOrdinary = Vector256.GreaterThanOrEqual(x, Vector256.Create(LeastWithAllDigits)) & Vector256.LessThanOrEqual(x, Vector256.Create(Most));
        Vector256.AndNot(exp, vanishes).Store(to);
        open |= ~(vanishes | isOrdinary).ExtractMostSignificantBits() & 0xff;
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
        var i = 0;
        for (; i <= n - Count; i += Count)
        {
            var quotients = Vector256.Load(x + i);
            if (divisor != 1)
                quotients /= Vector256.Create(divisor);
            Exp(quotients - Vector256.Create(max), to + i);
        }
        for (; i < n; i++)
            to[i] = MathF.Exp(x[i] / divisor - max);
        return AddInOrder(0, to, n);
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

    /// <summary><see cref="Exp(Vector256{double})"/> of eight, with the same bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<double> Exp(Vector512<double> x)
    {
        const double log2 = 0.69314718055994531;
        var shifted = Vector512.MultiplyAddEstimate(x, Vector512.Create(1 / log2), Vector512.Create(Rounder));
        var r = Vector512.MultiplyAddEstimate(shifted - Vector512.Create(Rounder), Vector512.Create(-log2), x);
        var r2 = r * r;
        var first = Terms(r, r2, 1, 1, 1.0 / 2, 1.0 / 6);
        var second = Terms(r, r2, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5_040);
        var last = Vector512.MultiplyAddEstimate(r, Vector512.Create(1.0 / 362_880), Vector512.Create(1.0 / 40_320));
        var p = Vector512.MultiplyAddEstimate(r2 * r2, Vector512.MultiplyAddEstimate(r2 * r2, last, second), first);
        return (p.AsInt64() + (shifted.AsInt64() << 52)).AsDouble();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<double> Terms(Vector512<double> r, Vector512<double> r2, double a, double b, double c, double d) =>
        Vector512.MultiplyAddEstimate(r2, Vector512.MultiplyAddEstimate(r, Vector512.Create(d), Vector512.Create(c)), Vector512.MultiplyAddEstimate(r, Vector512.Create(b), Vector512.Create(a)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint NearTheMiddle(Vector512<double> v)
    {
        const long middle = 1L << (BitsBeyond - 1);
        var beyond = v.AsInt64() - Vector512.Create(middle - Margin);
        return (uint)Vector512.Equals(beyond & Vector512.Create((1L << BitsBeyond) - 2 * Margin), Vector512<long>.Zero).ExtractMostSignificantBits();
    }

    /// <summary>sum + terms[0] + terms[1] …, rounded at each.</summary>
    /// <param name="sum">At least 0.</param>
    /// <param name="terms">(n), each at least 0.</param>
    /// <param name="n">Any number.</param>
    /// <remarks>
    /// As long as a sum stays below the next power of two, its last place stays the same, and to add a term is to add it rounded to that place, unless it lies in
    /// the middle between two such numbers, where the sum decides. Rounded terms are whole numbers of last places: they can be added in any order.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float AddInOrder(float sum, float* terms, int n)
    {
        const int many = 64;
        var power = PowerOfTwo(sum);
        for (; n >= many; n -= many, terms += many)
        {
            var middle = Vector256.Create(power / (1 << 24)); // half of a last place
            var rounder = Vector256.Create(1.5f * power); // has the same last place, and so has the sum with less than power / 2
            var (isRounded, rounded) = (Vector256<float>.AllBitsSet, Vector256<float>.Zero);
            for (var i = 0; i < many; i += Count)
            {
                var term = Vector256.Load(terms + i);
                var whole = term + rounder - rounder;
                isRounded &= Vector256.LessThan(term, Vector256.Create(power / 2)) & ~Vector256.Equals(Vector256.Abs(term - whole), middle);
                rounded += whole;
            }
            var next = sum + Vector256.Sum(rounded);
            if (next < 2 * power && isRounded.ExtractMostSignificantBits() == 0xff)
            {
                sum = next;
                continue;
            }
            for (var i = 0; i < many; i++)
                sum += terms[i];
            power = PowerOfTwo(sum);
        }
        for (; n > 0; n--)
            sum += *terms++;
        return sum;
    }

    /// <summary>The greatest power of two that a number reaches; 0 below those that have all digits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float PowerOfTwo(float x) => BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(x) & 0x7f80_0000);

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
