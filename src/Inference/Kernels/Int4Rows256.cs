using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Floats = System.Runtime.Intrinsics.Vector256<float>;
using Shorts = System.Runtime.Intrinsics.Vector256<short>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Rows of 4-bit weights by one vector, in registers of 32 bytes: <see cref="IntegerKernels.MatVecInt4"/> for groups of 32, without VNNI.</summary>
/// <remarks>
/// As <see cref="Int4Rows512"/>, a row at a time: sums of four products of codes fit an int16 four times over, so that eight groups are folded into one
/// register before anything is widened. 1.3 to 1.5 times as fast as widening every product. In four places, as other rows are read, it is slower (docs/LOG.md).
/// </remarks>
internal static unsafe class Int4Rows256
{
    private const int GroupSize = 32;

    // Groups that are scaled at once.
    private const int Block = 8;
    private const int BlockBytes = Block * GroupSize / 2;

    /// <summary>Whether an activation has such groups, and enough of them.</summary>
    public static bool Takes(in Int8Vector x) => x.GroupSize == GroupSize && x.Groups >= Block;

    /// <summary>Brings values into the order in which <see cref="MatVec"/> meets the codes: two groups' first halves, which lie in low nibbles, then
    /// their second halves. Groups beyond the last block stay as they are.</summary>
    public static void Arrange(in Int8Vector q)
    {
        for (var pair = q.Values; pair < q.Values + q.Groups / Block * Block * GroupSize; pair += 2 * GroupSize)
        {
            var (a, b) = (Vector128.Load(pair + 16), Vector128.Load(pair + 32));
            b.Store(pair + 16);
            a.Store(pair + 32);
        }
    }

    /// <inheritdoc cref="IntegerKernels.MatVecInt4"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MatVec(byte* w, Half* wScales, Int8Vector x, float* output, int rows)
    {
        nint groups = x.Groups;
        for (var row = 0; row < rows; row++, wScales += groups)
        {
            var sums = Floats.Zero;
            nint group = 0;
            for (; group <= groups - Block; group += Block, w += BlockBytes)
            {
                Prefetching.Lines(w + Prefetching.Distance, BlockBytes);
                sums = AddBlock(sums, w, wScales + group, x.Values + group * GroupSize, x.Scales + group, x.Sums + group);
            }
            if (group < groups)
            {
                // The scales of the last eight groups, of which some have been used: those are cleared.
                var last = groups - Block;
                var scales = Lanes256.KeepLast(Lanes256.ToSingle(wScales + last) * Vector256.Load(x.Scales + last), (int)(groups - group));
                sums = Fma.MultiplyAddNegated(scales, Vector256.ConvertToSingle(Vector256.Load(x.Sums + last) << 3), sums);
                for (; group < groups; group++, w += GroupSize / 2)
                {
                    var codes = Vector128.Load(w);
                    var halves = Vector256.Create(codes, codes >>> 4) & Vector256.Create((byte)0x0f);
                    var dot = Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(halves, Vector256.Load(x.Values + group * GroupSize)), Shorts.One);
                    sums = Fma.MultiplyAdd(Vector256.ConvertToSingle(dot), Avx2.PermuteVar8x32(scales, Vector256.Create((int)(group - last))), sums);
                }
            }
            output[row] = Lanes256.Sum(sums);
        }
    }

    /// <summary>sums + (codes − 8) · x · scales for eight groups.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats AddBlock(Floats sums, byte* w, Half* wScales, sbyte* x, float* xScales, int* xSums)
    {
        // Of each group two int16 are left, those of groups 0, 2, 4, 6 in the lower half of the register.
        var a = Fold(Products(w, x), Products(w + 32, x + 64)).AsSingle();
        var b = Fold(Products(w + 64, x + 128), Products(w + 96, x + 192)).AsSingle();
        var pairs = Avx.Shuffle(a, b, 0b10_00_10_00).AsInt16() + Avx.Shuffle(a, b, 0b11_01_11_01).AsInt16();
        var totals = Avx2.PermuteVar8x32(Avx2.MultiplyAddAdjacent(pairs, Shorts.One), Vector256.Create(0, 4, 1, 5, 2, 6, 3, 7));
        // A code is its weight + 8.
        totals -= Vector256.Load(xSums) << 3;
        return Fma.MultiplyAdd(Vector256.ConvertToSingle(totals), Lanes256.ToSingle(wScales) * Vector256.Load(xScales), sums);
    }

    /// <summary>codes · x of two groups, eight sums of four products each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Shorts Products(byte* w, sbyte* x)
    {
        var nibble = Vector256.Create((byte)0x0f);
        var codes = Vector256.Load(w);
        return Avx2.MultiplyAddAdjacent(codes & nibble, Vector256.Load(x))
            + Avx2.MultiplyAddAdjacent((codes.AsUInt16() >>> 4).AsByte() & nibble, Vector256.Load(x + 32));
    }

    /// <summary>Eight sums a group become four: those of the first pair's groups, then those of the second's, in each half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Shorts Fold(Shorts first, Shorts second) =>
        Avx2.UnpackLow(first.AsInt64(), second.AsInt64()).AsInt16() + Avx2.UnpackHigh(first.AsInt64(), second.AsInt64()).AsInt16();
}
