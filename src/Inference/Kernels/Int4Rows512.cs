using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Bytes = System.Runtime.Intrinsics.Vector512<byte>;
using Floats = System.Runtime.Intrinsics.Vector512<float>;
using SBytes = System.Runtime.Intrinsics.Vector512<sbyte>;
using Shorts = System.Runtime.Intrinsics.Vector512<short>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Rows of 4-bit weights by one vector, in registers of 64 bytes: <see cref="IntegerKernels.MatVecInt4"/> for groups of 32.</summary>
/// <typeparam name="THints">What suits this processor's memory system.</typeparam>
/// <remarks>
/// Unpacking costs more than multiplying, and AVX-512 halves it. .NET 10 has no 512-bit form of VNNI's product, but codes of 0 to 15 do without:
/// sums of four products stay below 15 · 127 · 4 = 7,620, and four of these still fit an int16. So a register of codes of each of four rows, four groups
/// a row, is folded into one register before anything is widened, and all sixteen sums are scaled at once. A row is a lane of each quarter: it ends
/// without a sum across the register. The rows are far from each other: memory is read in four places, which is faster than in one (docs/LOG.md).
/// </remarks>
internal static unsafe class Int4Rows512<THints>
    where THints : struct, IHints
{
    private const int GroupSize = 32;

    // Groups in a register of codes, where each has a quarter; their values; and the sums of four rows' groups.
    private const int Quad = 4;
    private const int QuadValues = Quad * GroupSize;
    private const int Sums = 4 * Quad;

    // An activation of more columns would need too much of the stack.
    private const int MostColumns = 1 << 16;

    /// <summary>Whether an activation has such groups, enough of them and not too many.</summary>
    public static bool Takes(in Int8Vector x) => x.GroupSize == GroupSize && x.Groups >= Quad && x.Length <= MostColumns;

    /// <summary>Brings values into the order in which <see cref="MatVec"/> meets the codes: four groups' first halves, which lie in low nibbles, then
    /// their second halves. Groups beyond the last four stay as they are.</summary>
    public static void Arrange(in Int8Vector q) => Arrange(q.Values, q.Groups / Quad * Quad);

    /// <inheritdoc cref="IntegerKernels.MatVecInt4"/>
    public static void MatVec(byte* w, Half* wScales, Int8Vector x, float* output, int rows)
    {
        nint quarter = rows / 4;
        var (bytes, groups) = ((nint)x.Length / 2, (nint)x.Groups);
        if (quarter > 0)
            InFours(w, wScales, x, output, quarter, quarter * bytes, quarter * groups, quarter);
        // A row without three others is computed four times at once.
        for (var row = 4 * quarter; row < rows; row++)
            InFours(w + row * bytes, wScales + row * groups, x, output + row, 1, 0, 0, 0);
    }

    /// <summary>Rows and, at three distances from each, three others.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    private static void InFours(byte* w, Half* wScales, in Int8Vector x, float* output, nint rows, nint apart, nint scalesApart, nint outputsApart)
    {
        // The last four groups overlap those before where some are left over: what has been counted is multiplied with zeros.
        var over = x.Groups % Quad;
        var last = stackalloc sbyte[QuadValues];
        if (over > 0)
            FillLast(x, over, last);

        // A group's numbers once for each row; a code is its weight + 8.
        var quads = x.Groups / Quad;
        var offsets = stackalloc int[(quads + 1) * Sums];
        var xScales = stackalloc float[(quads + 1) * Sums];
        for (var i = 0; i < (quads + 1) * Quad; i++)
        {
            var group = i < quads * Quad ? i : x.Groups - (quads + 1) * Quad + i;
            var counted = i >= quads * Quad && group < quads * Quad;
            Vector128.Create(counted ? 0 : x.Sums[group] << 3).Store(offsets + 4 * i);
            Vector128.Create(counted ? 0 : x.Scales[group]).Store(xScales + 4 * i);
        }

        nint bytes = x.Length / 2;
        nint groups = x.Groups;
        nint end = quads * Sums;
        for (nint row = 0; row < rows; row++, w += bytes, wScales += groups)
        {
            Prefetching.Scales(wScales, scalesApart * sizeof(short), groups * sizeof(short));
            var sums = Floats.Zero;
            var codes = w + THints.Distance;
            var scales = wScales;
            var values = x.Values;
            for (nint i = 0; i < end; i += Sums, codes += Bytes.Count, scales += Quad, values += QuadValues)
                sums = AddQuad(sums, codes, apart, scales, scalesApart, values, offsets + i, xScales + i);
            if (over > 0)
                sums = AddQuad(sums, w + bytes - Bytes.Count + THints.Distance, apart, wScales + groups - Quad, scalesApart, last, offsets + end, xScales + end);
            var halves = sums.GetLower() + sums.GetUpper();
            var four = halves.GetLower() + halves.GetUpper();
            for (var i = 0; i < 4; i++)
                output[row + i * outputsApart] = four[i];
        }
    }

    /// <summary>sums + (codes − 8) · x · scales, (groups, rows), for four groups of four rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats AddQuad(Floats sums, byte* w, nint apart, Half* wScales, nint scalesApart, sbyte* x, int* offsets, float* xScales)
    {
        var (low, high) = (Vector512.Load(x), Vector512.Load(x + SBytes.Count));
        // Of each group a row has eight int16; two rows are folded to four of each, four rows to two, and these become one int32.
        var next = w + apart;
        var (p, q) = (Products(w, low, high).AsInt32(), Products(next, low, high).AsInt32());
        var first = Avx512F.UnpackLow(p, q).AsInt16() + Avx512F.UnpackHigh(p, q).AsInt16();
        w = next + apart;
        (p, q) = (Products(w, low, high).AsInt32(), Products(w + apart, low, high).AsInt32());
        var second = Avx512F.UnpackLow(p, q).AsInt16() + Avx512F.UnpackHigh(p, q).AsInt16();
        var pairs = Avx512F.UnpackLow(first.AsInt64(), second.AsInt64()).AsInt16() + Avx512F.UnpackHigh(first.AsInt64(), second.AsInt64()).AsInt16();
        var totals = Avx512BW.MultiplyAddAdjacent(pairs, Shorts.One) - Vector512.Load(offsets);

        // (rows, groups) to (groups, rows).
        var turn = Vector512.Create(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        var scales = Avx512F.PermuteVar16x32(Lanes512.ToSingle(Rows((double*)wScales, scalesApart)), turn);
        return Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(totals), scales * Vector512.Load(xScales), sums);
    }

    /// <summary>Four float16 numbers of each row, (rows, 4), as bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Rows(double* wScales, nint apart)
    {
        var first = Sse2.LoadHigh(Sse2.LoadScalarVector128(wScales), (double*)((Half*)wScales + apart));
        wScales = (double*)((Half*)wScales + 2 * apart);
        return Vector256.Create(first, Sse2.LoadHigh(Sse2.LoadScalarVector128(wScales), (double*)((Half*)wScales + apart))).AsInt16();
    }

    /// <summary>codes · x of four groups, eight sums of four products each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Shorts Products(byte* w, SBytes low, SBytes high)
    {
        THints.Ask(w);
        var nibble = Vector512.Create((byte)0x0f);
        var codes = Vector512.Load(w - THints.Distance);
        return Avx512BW.MultiplyAddAdjacent(codes & nibble, low) + Avx512BW.MultiplyAddAdjacent((codes.AsUInt16() >>> 4).AsByte() & nibble, high);
    }

    private static void Arrange(sbyte* values, int groups)
    {
        for (var quad = values; quad < values + groups * GroupSize; quad += QuadValues)
        {
            var (a, b) = (Vector512.Load(quad).AsInt64(), Vector512.Load(quad + SBytes.Count).AsInt64());
            Avx512F.PermuteVar8x64x2(a, Vector512.Create(0L, 1, 4, 5, 8, 9, 12, 13), b).AsSByte().Store(quad);
            Avx512F.PermuteVar8x64x2(a, Vector512.Create(2L, 3, 6, 7, 10, 11, 14, 15), b).AsSByte().Store(quad + SBytes.Count);
        }
    }

    /// <summary>The groups that are left over at the end of four, and nothing before them.</summary>
    private static void FillLast(in Int8Vector x, int over, sbyte* last)
    {
        new Span<sbyte>(last, QuadValues).Clear();
        var left = over * GroupSize;
        new Span<sbyte>(x.Values + x.Length - left, left).CopyTo(new(last + QuadValues - left, left));
        Arrange(last, Quad);
    }
}
