using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Floats = System.Runtime.Intrinsics.Vector128<float>;
using Ints = System.Runtime.Intrinsics.Vector256<int>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Rows of int8 weights by one vector, in registers of 32 bytes: <see cref="IntegerKernels.MatVecInt8"/>.</summary>
/// <typeparam name="TProducts">How this processor multiplies bytes.</typeparam>
/// <typeparam name="TSize">The group size.</typeparam>
/// <remarks>
/// A group's sum is exact, so it may be taken in any order; the sums of groups are scaled and added one after the other, as runq.c does. What
/// costs is not that order but to sum across a register: one tree of additions does it for four groups, of one row or of four.
/// </remarks>
internal static unsafe class Int8Rows256<TProducts, TSize>
    where TProducts : struct, IByteProducts
    where TSize : struct, IGroupSize
{
    /// <summary>Row after row: for the rows that are no whole four.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneByOne(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        var n = TSize.Of(x);
        for (var row = 0; row < rows; row++)
        {
            var sum = 0f;
            for (nint group = 0; group < x.Groups; group++, w += n, wScales++)
                sum += (Vector256.Sum(Sums(w, x.Values + group * n, n)) - TProducts.Bias * x.Sums[group]) * Unsafe.ReadUnaligned<float>(wScales) * x.Scales[group];
            output[row] = sum;
        }
    }

    /// <summary>Four rows at a time, each in a lane, far from each other, a group of each in turn (four of 32): memory is read in four places, which is faster than in one (docs/LOG.md).</summary>
    /// <remarks>Takes whole fours.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void InFours(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        var n = TSize.Of(x);
        nint groups = x.Groups;
        nint quarter = rows / 4;
        var (apart, scalesApart) = (quarter * x.Length, quarter * groups);
        for (nint row = 0; row < quarter; row++, wScales += groups)
        {
            Prefetching.Scales(wScales, scalesApart * sizeof(float), groups * sizeof(float));
            var sums = Floats.Zero;
            var xi = x.Values;
            nint group = 0;
            if (n == 32)
            {
                // Small groups take more time than memory does: the fewest instructions are four groups of each row.
                for (; group <= groups - 4; group += 4, w += 4 * n, xi += 4 * n)
                {
                    var s = wScales + group;
                    var a = FourTerms(w, s, x, group);
                    var b = FourTerms(w + apart, s + scalesApart, x, group);
                    var c = FourTerms(w + 2 * apart, s + 2 * scalesApart, x, group);
                    var d = FourTerms(w + 3 * apart, s + 3 * scalesApart, x, group);
                    // Rows of terms become lanes of rows.
                    var (ab, cd) = (Sse.UnpackLow(a, b), Sse.UnpackLow(c, d));
                    sums += Sse.MoveLowToHigh(ab, cd);
                    sums += Sse.MoveHighToLow(cd, ab);
                    (ab, cd) = (Sse.UnpackHigh(a, b), Sse.UnpackHigh(c, d));
                    sums += Sse.MoveLowToHigh(ab, cd);
                    sums += Sse.MoveHighToLow(cd, ab);
                }
            }
            for (; group < groups; group++, w += n, xi += n)
                sums += Terms(RowTotals(w, apart, xi, n), wScales + group, scalesApart, x, group);
            for (var i = 0; i < 4; i++)
                output[row + i * quarter] = sums[i];
        }
    }

    /// <summary>What a group of four rows adds to their sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats Terms(Vector128<int> totals, float* wScales, nint scalesApart, in Int8Vector x, nint group)
    {
        var scales = Vector128.Create(*wScales, wScales[scalesApart], wScales[2 * scalesApart], wScales[3 * scalesApart]);
        return Vector128.ConvertToSingle(totals - Vector128.Create(TProducts.Bias * x.Sums[group])) * scales * x.Scales[group];
    }

    /// <summary>Σ (w + bias) · x of a group of four rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> RowTotals(sbyte* w, nint apart, sbyte* x, nint n) =>
        Totals(SumsAhead(w, x, n), SumsAhead(w + apart, x, n), SumsAhead(w + 2 * apart, x, n), SumsAhead(w + 3 * apart, x, n));

    /// <summary>What four groups of a row add to its sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats FourTerms(sbyte* w, float* wScales, in Int8Vector x, nint group)
    {
        var n = TSize.Of(x);
        Prefetching.Lines(w + Prefetching.NearDistance, 4 * n);
        var xi = x.Values + group * n;
        var totals = Totals(Sums(w, xi, n), Sums(w + n, xi + n, n), Sums(w + 2 * n, xi + 2 * n, n), Sums(w + 3 * n, xi + 3 * n, n));
        return Vector128.ConvertToSingle(totals - Vector128.Load(x.Sums + group) * TProducts.Bias) * Vector128.Load(wScales) * Vector128.Load(x.Scales + group);
    }

    /// <summary><see cref="Sums"/>, and hints of what is read soon.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints SumsAhead(sbyte* w, sbyte* x, nint n)
    {
        Prefetching.Line(w + Prefetching.NearDistance);
        if (n > 64)
            for (nint i = 64; i < n; i += 64)
                Prefetching.Line(w + Prefetching.NearDistance + i);
        return Sums(w, x, n);
    }

    /// <summary>The sum of each of four registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Totals(Ints a, Ints b, Ints c, Ints d)
    {
        var halves = Avx2.HorizontalAdd(Avx2.HorizontalAdd(a, b), Avx2.HorizontalAdd(c, d));
        return halves.GetLower() + halves.GetUpper();
    }

    /// <summary>Eight partial sums of (w + bias) · x.</summary>
    /// <remarks>Written out as far as the sizes that the compiler knows go: it removes an if, but keeps a loop that runs once.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Sums(sbyte* w, sbyte* x, nint n)
    {
        var sum = MultiplyAdd(Ints.Zero, w, x);
        if (n > 32)
            sum = MultiplyAdd(sum, w + 32, x + 32);
        if (n > 64)
            for (nint i = 64; i < n; i += 32)
                sum = MultiplyAdd(sum, w + i, x + i);
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints MultiplyAdd(Ints sum, sbyte* w, sbyte* x) =>
        TProducts.MultiplyAdd(sum, TProducts.Weights(Vector256.Load(w)), Vector256.Load(x));
}
