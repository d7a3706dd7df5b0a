using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Bytes = System.Runtime.Intrinsics.Vector256<byte>;
using Floats = System.Runtime.Intrinsics.Vector256<float>;
using Halves = System.Runtime.Intrinsics.Vector128<short>;
using SBytes = System.Runtime.Intrinsics.Vector256<sbyte>;
using Shorts = System.Runtime.Intrinsics.Vector256<short>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Rows of 4-bit weights by one vector, in registers of 32 bytes: <see cref="IntegerKernels.MatVecInt4"/> for groups of 32, without VNNI.</summary>
/// <remarks>
/// Two groups of four rows at a time: sums of four products of codes fit an int16 four times over, so that all eight groups are folded into one register,
/// a group of a row in each lane, before anything is widened. The rows are far from each other, and hints are a little ahead (docs/LOG.md).
/// </remarks>
internal static unsafe class Int4Rows256
{
    private const int GroupSize = 32;

    // Groups in a register of codes, and groups of a row whose scales are loaded at once.
    private const int Pair = 2;
    private const int Block = 8;

    // How far ahead of the codes being used.
    private const int Distance = 512;

    // Rows that are taken at once.
    private const int Quad = 4;

    /// <summary>Whether an activation has such groups, and enough of them.</summary>
    public static bool Takes(in Int8Vector x) => x.GroupSize == GroupSize && x.Groups >= Pair;

    /// <inheritdoc cref="IntegerKernels.MatVecInt4"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MatVec(byte* w, Half* wScales, Int8Vector x, float* output, int rows)
    {
        // Of each group what its sums are corrected by, as a code is its weight + 8, and its scale: (groups, rows). A group that has no
        // other makes a pair with the one before, whose values are zeros there.
        nint groups = x.Groups;
        var offsets = stackalloc int[Quad * (x.Groups + Pair)];
        var xScales = stackalloc float[Quad * (x.Groups + Pair)];
        for (nint group = 0; group < groups; group++)
        {
            Vector128.Create(x.Sums[group] << 3).Store(offsets + Quad * group);
            Vector128.Create(x.Scales[group]).Store(xScales + Quad * group);
        }
        var last = stackalloc sbyte[Pair * GroupSize];
        var odd = groups % Pair > 0;
        if (odd)
        {
            var from = x.Values + (groups - 1) * GroupSize;
            var at = Quad * groups;
            Vector256.Create(Vector128<sbyte>.Zero, Vector128.Load(from)).Store(last);
            Vector256.Create(Vector128<sbyte>.Zero, Vector128.Load(from + GroupSize / 2)).Store(last + GroupSize);
            Vector256.Create(Vector128<int>.Zero, Vector128.Load(offsets + at - Quad)).Store(offsets + at);
            Vector256.Create(Vector128<float>.Zero, Vector128.Load(xScales + at - Quad)).Store(xScales + at);
        }

        nint quarter = rows / Quad;
        var (apart, scalesApart, outputsApart) = (quarter * x.Length / 2, quarter * groups, quarter);
        var v = w + 2 * apart;
        for (nint row = 0; row < quarter + rows % Quad; row++, wScales += groups)
        {
            if (row == quarter)
            {
                // A row without three others is computed four times at once.
                v = w += 3 * apart;
                wScales += 3 * scalesApart;
                output += 3 * quarter;
                (apart, scalesApart, outputsApart) = (0, 0, 0);
            }
            var sums = Floats.Zero;
            var xi = x.Values;
            nint group = 0;
            for (; group <= groups - Block; group += Block, w += Block * GroupSize / 2, v += Block * GroupSize / 2, xi += Block * GroupSize)
            {
                // Scales of four rows by eight groups, turned around.
                var s = (short*)wScales + group;
                var t = s + 2 * scalesApart;
                var (a, b, c, d) = (Vector128.Load(s), Vector128.Load(s + scalesApart), Vector128.Load(t), Vector128.Load(t + scalesApart));
                var (ab, cd) = (Sse2.UnpackLow(a, b).AsInt32(), Sse2.UnpackLow(c, d).AsInt32());
                var at = Quad * group;
                Prefetching.FourLines(w + Distance, apart);
                sums = AddPair(sums, w, v, apart, xi, offsets + at, xScales + at, Sse2.UnpackLow(ab, cd).AsInt16(), 0);
                sums = AddPair(sums, w, v, apart, xi, offsets + at, xScales + at, Sse2.UnpackHigh(ab, cd).AsInt16(), 1);
                (ab, cd) = (Sse2.UnpackHigh(a, b).AsInt32(), Sse2.UnpackHigh(c, d).AsInt32());
                Prefetching.FourLines(w + Distance + 64, apart);
                sums = AddPair(sums, w, v, apart, xi, offsets + at, xScales + at, Sse2.UnpackLow(ab, cd).AsInt16(), 2);
                sums = AddPair(sums, w, v, apart, xi, offsets + at, xScales + at, Sse2.UnpackHigh(ab, cd).AsInt16(), 3);
            }
            for (; group <= groups - Pair; group += Pair, w += GroupSize, v += GroupSize, xi += Pair * GroupSize)
                sums = AddPair(sums, w, v, apart, xi, offsets + Quad * group, xScales + Quad * group, PairOfScales(wScales + group, scalesApart), 0);
            if (odd)
            {
                var scales = PairOfScales(wScales + groups - Pair, scalesApart);
                sums = AddPair(sums, w - GroupSize / 2, v - GroupSize / 2, apart, last, offsets + Quad * groups, xScales + Quad * groups, scales, 0);
                w += GroupSize / 2;
                v += GroupSize / 2;
            }
            var sum = sums.GetLower() + sums.GetUpper();
            for (var i = 0; i < Quad; i++)
                output[row + i * outputsApart] = sum[i];
        }
    }

    /// <summary>Scales of two groups of four rows: (2, rows).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Halves PairOfScales(Half* s, nint apart)
    {
        var t = s + 2 * apart;
        var rows = Vector128.Create(*(int*)s, *(int*)(s + apart), *(int*)t, *(int*)(t + apart)).AsByte();
        return Ssse3.Shuffle(rows, Vector128.Create((byte)0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15)).AsInt16();
    }

    /// <summary>sums + (codes − 8) · x · scales for two groups of four rows: those of the first in the lower half.</summary>
    /// <param name="sums">(2, rows).</param>
    /// <param name="w">Codes of the first row.</param>
    /// <param name="v">Codes of the third.</param>
    /// <param name="apart">Bytes from a row to the next.</param>
    /// <param name="x">Values: the first halves of two groups, which lie in low nibbles, then their second halves.</param>
    /// <param name="offsets">8 · Σ x, (2, rows).</param>
    /// <param name="xScales">(2, rows).</param>
    /// <param name="wScales">(2, rows).</param>
    /// <param name="pair">Which pair of groups, from these places on.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats AddPair(Floats sums, byte* w, byte* v, nint apart, sbyte* x, int* offsets, float* xScales, Halves wScales, int pair)
    {
        var at = GroupSize * pair;
        var (x0, x1) = (Vector256.Load(x + 2 * at), Vector256.Load(x + 2 * at + GroupSize));
        var a = Fold(Products(Vector256.Load(w + at), x0, x1), Products(Vector256.Load(w + apart + at), x0, x1)).AsSingle();
        var b = Fold(Products(Vector256.Load(v + at), x0, x1), Products(Vector256.Load(v + apart + at), x0, x1)).AsSingle();
        // Of each group four int16 are left, those of the first in the lower half of the register.
        var twos = Avx.Shuffle(a, b, 0b10_00_10_00).AsInt16() + Avx.Shuffle(a, b, 0b11_01_11_01).AsInt16();
        var totals = Avx2.MultiplyAddAdjacent(twos, Shorts.One) - Vector256.Load(offsets + Pair * Quad * pair);
        return Fma.MultiplyAdd(Vector256.ConvertToSingle(totals), Lanes256.ToSingle(wScales) * Vector256.Load(xScales + Pair * Quad * pair), sums);
    }

    /// <summary>codes · x of two groups, eight sums of four products each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Shorts Products(Bytes codes, SBytes x0, SBytes x1)
    {
        var nibble = Vector256.Create((byte)0x0f);
        return Avx2.MultiplyAddAdjacent(codes & nibble, x0) + Avx2.MultiplyAddAdjacent((codes.AsUInt16() >>> 4).AsByte() & nibble, x1);
    }

    /// <summary>Eight sums a group become four: those of the first row, then those of the second, in each half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Shorts Fold(Shorts first, Shorts second) =>
        Avx2.UnpackLow(first.AsInt64(), second.AsInt64()).AsInt16() + Avx2.UnpackHigh(first.AsInt64(), second.AsInt64()).AsInt16();
}
