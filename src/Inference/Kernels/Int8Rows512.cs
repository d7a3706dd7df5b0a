using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Bytes = System.Runtime.Intrinsics.Vector512<byte>;
using Floats = System.Runtime.Intrinsics.Vector128<float>;
using Ints = System.Runtime.Intrinsics.Vector512<int>;
using SBytes = System.Runtime.Intrinsics.Vector512<sbyte>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Rows of int8 weights by one vector, in registers of 64 bytes: <see cref="IntegerKernels.MatVecInt8"/> for processors without AVX-VNNI.</summary>
/// <typeparam name="TSize">The group size: 32 or 64.</typeparam>
/// <remarks>
/// AVX-512 has no instruction that turns signs. But where x is negative −w = (w ^ −1) + 1, so that Σ w · x = Σ (w ^ sign(x)) · |x| + Σ |x| over x &lt; 0,
/// and the second sum is the same for every row. Four groups of four rows are sixteen sums, a register, which are scaled at once. The rows are far
/// from each other: memory is read in four places, which is faster than in one (docs/LOG.md).
/// </remarks>
internal static unsafe class Int8Rows512<TSize>
    where TSize : struct, IGroupSize
{
    // Groups of a row that are taken at once.
    private const int Quad = 4;

    /// <summary>Takes whole fours of rows.</summary>
    /// <inheritdoc cref="IntegerKernels.MatVecInt8"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MatVec(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        var n = TSize.Of(x);
        var (cols, groups) = ((nint)x.Length, (nint)x.Groups);
        var negatives = stackalloc int[x.Groups];
        for (nint group = 0; group < groups; group++)
            negatives[group] = Avx2Products.SumOfNegatives(x.Values + group * n, n);

        // (rows, groups) to (groups, rows), and back.
        var turn = Vector512.Create(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        var quarter = rows / 4;
        var (apart, scalesApart) = (quarter * cols, quarter * groups);
        for (var row = 0; row < quarter; row++, wScales += groups)
        {
            var sums = Floats.Zero;
            var xi = x.Values;
            nint group = 0;
            for (; group <= groups - Quad; group += Quad, w += Quad * n, xi += Quad * n)
            {
                var totals = Avx512F.PermuteVar16x32(Totals(w, apart, xi, n), turn) + Avx512F.BroadcastVector128ToVector512(negatives + group);
                var s = wScales + group;
                var scales = Vector512.Create(
                    Vector256.Create(Vector128.Load(s), Vector128.Load(s + scalesApart)),
                    Vector256.Create(Vector128.Load(s + 2 * scalesApart), Vector128.Load(s + 3 * scalesApart)));
                var terms = Vector512.ConvertToSingle(totals) * scales * Avx512F.BroadcastVector128ToVector512(x.Scales + group);
                // A row is a lane now, and adds its groups one after the other.
                terms = Avx512F.PermuteVar16x32(terms, turn);
                sums += terms.GetLower().GetLower();
                sums += terms.GetLower().GetUpper();
                sums += terms.GetUpper().GetLower();
                sums += terms.GetUpper().GetUpper();
            }
            for (; group < groups; group++, w += n, xi += n)
            {
                var (p, q) = (Sums(w, xi, n), Sums(w + apart, xi, n));
                var halves = Avx2.HorizontalAdd(Avx2.HorizontalAdd(p, q), Avx2.HorizontalAdd(Sums(w + 2 * apart, xi, n), Sums(w + 3 * apart, xi, n)));
                var s = wScales + group;
                var scales = Vector128.Create(*s, s[scalesApart], s[2 * scalesApart], s[3 * scalesApart]);
                sums += Vector128.ConvertToSingle(halves.GetLower() + halves.GetUpper()) * scales * x.Scales[group];
            }
            for (var i = 0; i < 4; i++)
                output[row + i * quarter] = sums[i];
        }
    }

    /// <summary>Σ (w ^ sign(x)) · |x| of four groups of four rows, (groups, rows).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Totals(sbyte* w, nint apart, sbyte* x, nint n)
    {
        // A quarter of a register has four rows' sums: of half a group of 32 or a quarter of one of 64.
        var (a, b) = (Quarters(w, apart, x), Quarters(w + 64, apart, x + 64));
        if (n == 64)
        {
            a = Avx512F.Shuffle4x128(a, b, 0b01_00_01_00) + Avx512F.Shuffle4x128(a, b, 0b11_10_11_10);
            var (c, d) = (Quarters(w + 128, apart, x + 128), Quarters(w + 192, apart, x + 192));
            b = Avx512F.Shuffle4x128(c, d, 0b01_00_01_00) + Avx512F.Shuffle4x128(c, d, 0b11_10_11_10);
        }
        return Avx512F.Shuffle4x128(a, b, 0b10_00_10_00) + Avx512F.Shuffle4x128(a, b, 0b11_01_11_01);
    }

    /// <summary>The sums of every sixteen columns of 64, (4, rows).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Quarters(sbyte* w, nint apart, sbyte* x)
    {
        var values = Vector512.Load(x);
        var signs = Vector512.LessThan(values, SBytes.Zero);
        var magnitudes = Vector512.Abs(values).AsByte();
        var (p, q) = (Products(w, magnitudes, signs), Products(w + apart, magnitudes, signs));
        var first = Avx512F.UnpackLow(p, q) + Avx512F.UnpackHigh(p, q);
        (p, q) = (Products(w + 2 * apart, magnitudes, signs), Products(w + 3 * apart, magnitudes, signs));
        var second = Avx512F.UnpackLow(p, q) + Avx512F.UnpackHigh(p, q);
        return Avx512F.UnpackLow(first.AsInt64(), second.AsInt64()).AsInt32() + Avx512F.UnpackHigh(first.AsInt64(), second.AsInt64()).AsInt32();
    }

    // Two products fit an int16: 2 · 127 · 128 = 32,512.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Products(sbyte* w, Bytes magnitudes, SBytes signs)
    {
        Prefetching.FarLine(w + Prefetching.Distance);
        return Avx512BW.MultiplyAddAdjacent(Avx512BW.MultiplyAddAdjacent(magnitudes, Vector512.Load(w) ^ signs), Vector512<short>.One);
    }

    /// <summary>Eight partial sums of w · x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Sums(sbyte* w, sbyte* x, nint n)
    {
        var sum = Avx2Products.MultiplyAdd(Vector256<int>.Zero, Vector256.Load(w).AsByte(), Vector256.Load(x));
        return n > 32 ? Avx2Products.MultiplyAdd(sum, Vector256.Load(w + 32).AsByte(), Vector256.Load(x + 32)) : sum;
    }
}
