using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Bytes = System.Runtime.Intrinsics.Vector256<byte>;
using Floats = System.Runtime.Intrinsics.Vector128<float>;
using Ints = System.Runtime.Intrinsics.Vector256<int>;
using SBytes = System.Runtime.Intrinsics.Vector256<sbyte>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Rows of int8 weights by one vector, in registers of 32 bytes: <see cref="IntegerKernels.MatVecInt8"/> for processors with AVX2 alone.</summary>
/// <typeparam name="TSize">The group size: 32 or 64.</typeparam>
/// <remarks>
/// As <see cref="Int8Rows512{TSize, THints}"/>: Σ w · x = Σ (w ^ sign(x)) · |x| + Σ |x| over x &lt; 0, where signs, magnitudes and the second sum are made once for
/// four rows, which are far from each other. Memory is read in four places: 1.3 times as fast as in one (docs/LOG.md).
/// </remarks>
internal static unsafe class Int8Rows256WithoutVnni<TSize>
    where TSize : struct, IGroupSize
{
    // How far ahead of the weights being used their lines are asked for: nearer than elsewhere, as farther hints cost more than they give.
    private const int Distance = 256;

    // Groups of a row that are taken at once, and rows.
    private const int Quad = 4;

    /// <summary>Takes whole fours of rows.</summary>
    /// <inheritdoc cref="IntegerKernels.MatVecInt8"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MatVec(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        var n = TSize.Of(x);
        var (cols, groups) = ((nint)x.Length, (nint)x.Groups);
        // (groups, rows): the same for every row, as they are added and multiplied.
        var negatives = stackalloc int[Quad * x.Groups];
        var xScales = stackalloc float[Quad * x.Groups];
        for (nint group = 0; group < groups; group++)
        {
            Vector128.Create(Avx2Products.SumOfNegatives(x.Values + group * n, n)).Store(negatives + Quad * group);
            Vector128.Create(x.Scales[group]).Store(xScales + Quad * group);
        }

        nint quarter = rows / 4;
        var (apart, scalesApart) = (quarter * cols, quarter * groups);
        for (nint row = 0; row < quarter; row++, wScales += groups)
        {
            var sums = Floats.Zero;
            var xi = x.Values;
            nint group = 0;
            for (; group <= groups - Quad; group += Quad, w += Quad * n, xi += Quad * n)
            {
                // Scales of four rows by four groups, turned around.
                var s = wScales + group;
                var t = s + 2 * scalesApart;
                var (a, b, c, d) = (Vector128.Load(s), Vector128.Load(s + scalesApart), Vector128.Load(t), Vector128.Load(t + scalesApart));
                var (ab, cd) = (Sse.UnpackLow(a, b), Sse.UnpackLow(c, d));
                var scales = Vector256.Create(Sse.MoveLowToHigh(ab, cd), Sse.MoveHighToLow(cd, ab));
                var terms = Terms(w, apart, xi, n, negatives + Quad * group, scales, xScales + Quad * group);
                sums += terms.GetLower();
                sums += terms.GetUpper();
                (ab, cd) = (Sse.UnpackHigh(a, b), Sse.UnpackHigh(c, d));
                scales = Vector256.Create(Sse.MoveLowToHigh(ab, cd), Sse.MoveHighToLow(cd, ab));
                terms = Terms(w + 2 * n, apart, xi + 2 * n, n, negatives + Quad * (group + 2), scales, xScales + Quad * (group + 2));
                sums += terms.GetLower();
                sums += terms.GetUpper();
            }
            for (; group < groups; group++, w += n, xi += n)
            {
                var halves = Halves(w, apart, xi, n);
                var s = wScales + group;
                var scales = Vector128.Create(*s, s[scalesApart], s[2 * scalesApart], s[3 * scalesApart]);
                var totals = halves.GetLower() + halves.GetUpper() + Vector128.Load(negatives + Quad * group);
                sums += Vector128.ConvertToSingle(totals) * scales * x.Scales[group];
            }
            for (var i = 0; i < 4; i++)
                output[row + i * quarter] = sums[i];
        }
    }

    /// <summary>What two groups add to the sums of four rows: the first in the lower half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Terms(sbyte* w, nint apart, sbyte* x, nint n, int* negatives, Vector256<float> scales, float* xScales)
    {
        Prefetching.FourLines(w + Distance, apart);
        if (n == 64)
            Prefetching.FourLines(w + Distance + 64, apart);
        var (a, b) = (Halves(w, apart, x, n), Halves(w + n, apart, x + n, n));
        var totals = Avx2.Permute2x128(a, b, 0x20) + Avx2.Permute2x128(a, b, 0x31) + Vector256.Load(negatives);
        return Vector256.ConvertToSingle(totals) * scales * Vector256.Load(xScales);
    }

    /// <summary>Σ (w ^ sign(x)) · |x| of a group of four rows, in two parts: (2, rows).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Halves(sbyte* w, nint apart, sbyte* x, nint n)
    {
        var v = w + 2 * apart;
        var values = Vector256.Load(x);
        var (magnitudes, signs) = (Vector256.Abs(values).AsByte(), Vector256.LessThan(values, SBytes.Zero));
        var (a, b) = (Products(w, magnitudes, signs), Products(w + apart, magnitudes, signs));
        var (c, d) = (Products(v, magnitudes, signs), Products(v + apart, magnitudes, signs));
        if (n == 64)
        {
            values = Vector256.Load(x + 32);
            (magnitudes, signs) = (Vector256.Abs(values).AsByte(), Vector256.LessThan(values, SBytes.Zero));
            a += Products(w + 32, magnitudes, signs);
            b += Products(w + apart + 32, magnitudes, signs);
            c += Products(v + 32, magnitudes, signs);
            d += Products(v + apart + 32, magnitudes, signs);
        }
        var ab = (Avx2.UnpackLow(a, b) + Avx2.UnpackHigh(a, b)).AsInt64();
        var cd = (Avx2.UnpackLow(c, d) + Avx2.UnpackHigh(c, d)).AsInt64();
        return Avx2.UnpackLow(ab, cd).AsInt32() + Avx2.UnpackHigh(ab, cd).AsInt32();
    }

    // Two products fit an int16: 2 · 127 · 128 = 32,512.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Products(sbyte* w, Bytes magnitudes, SBytes signs) =>
        Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(magnitudes, Vector256.Load(w) ^ signs), Vector256<short>.One);
}
