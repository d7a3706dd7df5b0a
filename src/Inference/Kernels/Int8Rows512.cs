using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Bytes = System.Runtime.Intrinsics.Vector512<byte>;
using Floats = System.Runtime.Intrinsics.Vector128<float>;
using Ints = System.Runtime.Intrinsics.Vector512<int>;
using SBytes = System.Runtime.Intrinsics.Vector512<sbyte>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Rows of int8 weights by one vector, in registers of 64 bytes: <see cref="IntegerKernels.MatVecInt8"/>.</summary>
/// <typeparam name="TSize">The group size: 32 or 64.</typeparam>
/// <typeparam name="THints">What suits this processor's memory system.</typeparam>
/// <remarks>
/// .NET 10 has no 512-bit form of VNNI's product, and AVX-512 no instruction that turns signs. But where x is negative −w = (w ^ −1) + 1, so that
/// Σ w · x = Σ (w ^ sign(x)) · |x| + Σ |x| over x &lt; 0, and the second sum is the same for every row. Four groups of four rows are sixteen sums, a
/// register, which are scaled at once: 96 instructions for four groups of 32 and 166 for four of 64, where 256 bits with VNNI have 155 and 236, and these
/// are what bounds it in the caches. The rows are far from each other: memory is read in four places, which is faster than in one (docs/LOG.md).
/// </remarks>
internal static unsafe class Int8Rows512<TSize, THints>
    where TSize : struct, IGroupSize
    where THints : struct, IHints
{
    // Groups of a row that are taken at once.
    private const int Quad = 4;

    // Columns whose magnitudes, and then signs, lie side by side.
    private const int Block = 64;

    // An activation of more columns would need too much of the stack.
    private const int MostColumns = 1 << 15;

    /// <summary>Whether an activation has such groups, and is not too long.</summary>
    public static bool Takes(in Int8Vector x) => x.GroupSize == TSize.Of(x) && x.Length <= MostColumns;

    /// <summary>Takes whole fours of rows.</summary>
    /// <inheritdoc cref="IntegerKernels.MatVecInt8"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    public static void MatVec(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        var n = TSize.Of(x);
        var (cols, groups) = ((nint)x.Length, (nint)x.Groups);

        // x as the rows meet it: magnitudes and signs of 64 columns, and a group's numbers once for each row.
        var parts = stackalloc sbyte[2 * x.Length + 3 * Block];
        parts = (sbyte*)((nint)(parts + Block - 1) & -Block);
        for (nint i = 0; i < cols; i += Block / 2)
        {
            var values = Vector256.Load(x.Values + i);
            Vector256.Abs(values).Store(parts + Place(i));
            Vector256.LessThan(values, Vector256<sbyte>.Zero).Store(parts + Place(i) + Block);
        }
        var negatives = stackalloc int[4 * x.Groups];
        var xScales = stackalloc float[4 * x.Groups];
        for (nint group = 0; group < groups; group++)
        {
            Vector128.Create(Avx2Products.SumOfNegatives(x.Values + group * n, n)).Store(negatives + 4 * group);
            Vector128.Create(x.Scales[group]).Store(xScales + 4 * group);
        }

        // (rows, groups) to (groups, rows).
        var turn = Vector512.Create(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        nint quarter = rows / 4;
        var (apart, scalesApart) = (quarter * cols, quarter * groups);
        w += THints.Distance; // what is told of: an address saved for each line
        for (nint row = 0; row < quarter; row++, wScales += groups)
        {
            Prefetching.Scales(wScales, scalesApart * sizeof(float), groups * sizeof(float));
            var sums = Floats.Zero;
            var xi = parts;
            nint group = 0;
            for (; group <= groups - Quad; group += Quad, w += Quad * n, xi += 2 * Quad * n)
            {
                var totals = Totals(w, apart, xi, n) + Vector512.Load(negatives + 4 * group);
                var s = wScales + group;
                var scales = Avx512F.PermuteVar16x32(Rows(s, s + scalesApart, s + 2 * scalesApart, s + 3 * scalesApart), turn);
                var terms = Vector512.ConvertToSingle(totals) * scales * Vector512.Load(xScales + 4 * group);
                // A row is a lane of each quarter, and adds its groups one after the other.
                sums += terms.GetLower().GetLower();
                sums += Avx512F.ExtractVector128(terms, 1);
                sums += Avx512F.ExtractVector128(terms, 2);
                sums += Avx512F.ExtractVector128(terms, 3);
            }
            for (; group < groups; group++, w += n)
            {
                var totals = GroupTotals(w, apart, parts + Place(group * n), n) + Vector128.Load(negatives + 4 * group);
                var s = wScales + group;
                var scales = Vector128.Create(*s, s[scalesApart], s[2 * scalesApart], s[3 * scalesApart]);
                sums += Vector128.ConvertToSingle(totals) * scales * Vector128.Load(xScales + 4 * group);
            }
            for (var i = 0; i < 4; i++)
                output[row + i * quarter] = sums[i];
        }
    }

    /// <summary>Where a column's magnitude lies.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nint Place(nint column) => 2 * (column & -Block) + (column & (Block - 1));

    /// <summary>Four numbers of each row, (rows, 4).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Rows(float* a, float* b, float* c, float* d) =>
        Lanes512.Join(Vector256.Create(Vector128.Load(a), Vector128.Load(b)), Vector256.Create(Vector128.Load(c), Vector128.Load(d)));

    /// <summary>Σ (w ^ sign(x)) · |x| of four groups of four rows, (groups, rows).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Totals(sbyte* w, nint apart, sbyte* x, nint n)
    {
        // A quarter of a register has four rows' sums: of half a group of 32 or a quarter of one of 64.
        var (a, b) = (Quarters(w, apart, x), Quarters(w + Block, apart, x + 2 * Block));
        if (n == Block)
        {
            a = Avx512F.Shuffle4x128(a, b, 0b01_00_01_00) + Avx512F.Shuffle4x128(a, b, 0b11_10_11_10);
            var (c, d) = (Quarters(w + 2 * Block, apart, x + 4 * Block), Quarters(w + 3 * Block, apart, x + 6 * Block));
            b = Avx512F.Shuffle4x128(c, d, 0b01_00_01_00) + Avx512F.Shuffle4x128(c, d, 0b11_10_11_10);
        }
        return Avx512F.Shuffle4x128(a, b, 0b10_00_10_00) + Avx512F.Shuffle4x128(a, b, 0b11_01_11_01);
    }

    /// <summary>The sums of every sixteen columns of 64, (4, rows).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Quarters(sbyte* w, nint apart, sbyte* x)
    {
        var (magnitudes, signs) = (Vector512.Load(x).AsByte(), Vector512.Load(x + Block));
        var next = w + apart;
        var (p, q) = (Products(w, magnitudes, signs), Products(next, magnitudes, signs));
        var first = Avx512F.UnpackLow(p, q) + Avx512F.UnpackHigh(p, q);
        w = next + apart;
        (p, q) = (Products(w, magnitudes, signs), Products(w + apart, magnitudes, signs));
        var second = Avx512F.UnpackLow(p, q) + Avx512F.UnpackHigh(p, q);
        return Avx512F.UnpackLow(first.AsInt64(), second.AsInt64()).AsInt32() + Avx512F.UnpackHigh(first.AsInt64(), second.AsInt64()).AsInt32();
    }

    /// <summary>Σ (w ^ sign(x)) · |x| of one group of four rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> GroupTotals(sbyte* w, nint apart, sbyte* x, nint n)
    {
        Vector256<int> halves;
        if (n == Block)
        {
            var quarters = Quarters(w, apart, x);
            halves = quarters.GetLower() + quarters.GetUpper();
        }
        else
        {
            var (magnitudes, signs) = (Vector256.Load(x).AsByte(), Vector256.Load(x + Block));
            halves = Avx2.HorizontalAdd(
                Avx2.HorizontalAdd(HalfProducts(w, magnitudes, signs), HalfProducts(w + apart, magnitudes, signs)),
                Avx2.HorizontalAdd(HalfProducts(w + 2 * apart, magnitudes, signs), HalfProducts(w + 3 * apart, magnitudes, signs)));
        }
        return halves.GetLower() + halves.GetUpper();
    }

    // Two products fit an int16: 2 · 127 · 128 = 32,512.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Products(sbyte* w, Bytes magnitudes, SBytes signs)
    {
        THints.Ask(w);
        return Avx512BW.MultiplyAddAdjacent(Avx512BW.MultiplyAddAdjacent(magnitudes, Vector512.Load(w - THints.Distance) ^ signs), Vector512<short>.One);
    }

    /// <summary><see cref="Products"/> of half a register.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> HalfProducts(sbyte* w, Vector256<byte> magnitudes, Vector256<sbyte> signs)
    {
        THints.Ask(w);
        return Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(magnitudes, Vector256.Load(w - THints.Distance) ^ signs), Vector256<short>.One);
    }
}
