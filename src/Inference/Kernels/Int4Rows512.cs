using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Bytes = System.Runtime.Intrinsics.Vector512<byte>;
using Floats = System.Runtime.Intrinsics.Vector512<float>;
using Shorts = System.Runtime.Intrinsics.Vector512<short>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Rows of 4-bit weights by one vector, in registers of 64 bytes: <see cref="IntegerKernels.MatVecInt4"/> for groups of 32.</summary>
/// <remarks>
/// Unpacking costs more than multiplying, and AVX-512 halves it. .NET 10 has no 512-bit form of VNNI's product, but codes of 0 to 15 do without:
/// sums of four products stay below 15 · 127 · 4 = 7,620, and four of these still fit an int16. So eight groups of two rows are folded into one
/// register, a group a lane, before anything is widened, and all sixteen are scaled at once.
/// </remarks>
internal static unsafe class Int4Rows512
{
    private const int GroupSize = 32;

    // Groups in a register of codes, where each has a quarter; and groups that are scaled at once.
    private const int Quad = 4;
    private const int Block = 8;
    private const int BlockBytes = Block * GroupSize / 2;

    /// <summary>Whether an activation has such groups, and enough of them.</summary>
    public static bool Takes(in Int8Vector x) => x.GroupSize == GroupSize && x.Groups >= Block;

    /// <summary>Brings values into the order in which <see cref="MatVec"/> meets the codes: four groups' first halves, which lie in low nibbles, then
    /// their second halves. Groups beyond the last block stay as they are.</summary>
    public static void Arrange(in Int8Vector q) => Arrange(q.Values, q.Groups / Block * Block);

    /// <inheritdoc cref="IntegerKernels.MatVecInt4"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MatVec(byte* w, Half* wScales, Int8Vector x, float* output, int rows)
    {
        // The last block overlaps the one before where groups are left over: what has been counted is multiplied with zeros.
        var values = stackalloc sbyte[Block * GroupSize];
        var numbers = stackalloc int[2 * Block];
        var last = new Int8Vector(values, (float*)numbers, numbers + Block, Block * GroupSize, GroupSize);
        var over = x.Groups % Block;
        if (over > 0)
            FillLast(x, over, last);

        // Four rows at once, far from each other: memory is read in four places, which is faster than in one (docs/LOG.md).
        nint bytes = x.Length / 2;
        nint groups = x.Groups;
        nint quarter = rows / 4;
        var (apart, scalesApart) = (quarter * bytes, quarter * groups);
        for (nint row = 0; row < quarter; row++, w += bytes, wScales += groups)
        {
            var v = w + 2 * apart;
            var vScales = wScales + 2 * scalesApart;
            var (first, second) = (Floats.Zero, Floats.Zero);
            nint group = 0;
            for (; group <= groups - Block; group += Block)
            {
                var at = group * (GroupSize / 2);
                first = AddBlock(first, w + at, apart, wScales + group, scalesApart, x, group);
                second = AddBlock(second, v + at, apart, vScales + group, scalesApart, x, group);
            }
            if (over > 0)
            {
                var at = bytes - BlockBytes;
                first = AddBlock(first, w + at, apart, wScales + groups - Block, scalesApart, last, 0);
                second = AddBlock(second, v + at, apart, vScales + groups - Block, scalesApart, last, 0);
            }
            output[row] = Lanes256.Sum(first.GetLower());
            output[row + quarter] = Lanes256.Sum(first.GetUpper());
            output[row + 2 * quarter] = Lanes256.Sum(second.GetLower());
            output[row + 3 * quarter] = Lanes256.Sum(second.GetUpper());
        }
        // A row without three others is computed twice at once.
        w += 3 * apart;
        wScales += 3 * scalesApart;
        for (var row = 4 * quarter; row < rows; row++, w += bytes, wScales += groups)
        {
            var sums = Floats.Zero;
            nint group = 0;
            for (; group <= groups - Block; group += Block)
                sums = AddBlock(sums, w + group * (GroupSize / 2), 0, wScales + group, 0, x, group);
            if (over > 0)
                sums = AddBlock(sums, w + bytes - BlockBytes, 0, wScales + groups - Block, 0, last, 0);
            output[row] = Lanes256.Sum(sums.GetLower());
        }
    }

    /// <summary>sums + (codes − 8) · x · scales for eight groups of a row and, in the upper half, eight of another.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats AddBlock(Floats sums, byte* w, nint apart, Half* wScales, nint scalesApart, in Int8Vector x, nint group)
    {
        Prefetching.Lines(w + Prefetching.NearDistance, BlockBytes);
        Prefetching.Lines(w + apart + Prefetching.NearDistance, BlockBytes);
        var xi = x.Values + group * GroupSize;
        var a = Fold(Products(w, xi), Products(w + Bytes.Count, xi + 2 * Bytes.Count));
        var b = Fold(Products(w + apart, xi), Products(w + apart + Bytes.Count, xi + 2 * Bytes.Count));
        // Of each group two int16 are left: a lane's are (a's group, a's of the next quad, b's, b's of the next quad).
        var even = Avx512F.Shuffle(a.AsSingle(), b.AsSingle(), 0b10_00_10_00).AsInt16();
        var odd = Avx512F.Shuffle(a.AsSingle(), b.AsSingle(), 0b11_01_11_01).AsInt16();
        var totals = Avx512BW.MultiplyAddAdjacent(even + odd, Shorts.One);
        totals = Avx512F.PermuteVar16x32(totals, Vector512.Create(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
        // A code is its weight + 8.
        totals -= Avx512DQ.BroadcastVector256ToVector512(x.Sums + group) << 3;
        var scales = Lanes512.ToSingle(wScales, wScales + scalesApart) * Avx512DQ.BroadcastVector256ToVector512(x.Scales + group);
        return Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(totals), scales, sums);
    }

    /// <summary>codes · x of four groups, eight sums of four products each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Shorts Products(byte* w, sbyte* x)
    {
        var nibble = Vector512.Create((byte)0x0f);
        var codes = Vector512.Load(w);
        return Avx512BW.MultiplyAddAdjacent(codes & nibble, Vector512.Load(x))
            + Avx512BW.MultiplyAddAdjacent((codes.AsUInt16() >>> 4).AsByte() & nibble, Vector512.Load(x + Bytes.Count));
    }

    /// <summary>Eight sums a group become four: those of the first quad, then those of the second.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Shorts Fold(Shorts first, Shorts second) =>
        Avx512F.UnpackLow(first.AsInt64(), second.AsInt64()).AsInt16() + Avx512F.UnpackHigh(first.AsInt64(), second.AsInt64()).AsInt16();

    private static void Arrange(sbyte* values, int groups)
    {
        for (var quad = values; quad < values + groups * GroupSize; quad += Quad * GroupSize)
        {
            var (a, b) = (Vector512.Load(quad).AsInt64(), Vector512.Load(quad + 64).AsInt64());
            Avx512F.PermuteVar8x64x2(a, Vector512.Create(0L, 1, 4, 5, 8, 9, 12, 13), b).AsSByte().Store(quad);
            Avx512F.PermuteVar8x64x2(a, Vector512.Create(2L, 3, 6, 7, 10, 11, 14, 15), b).AsSByte().Store(quad + 64);
        }
    }

    /// <summary>The groups that are left over at the end of a block, and nothing before them.</summary>
    private static void FillLast(in Int8Vector x, int over, in Int8Vector last)
    {
        var (from, to) = (x.Groups - over, Block - over);
        new Span<sbyte>(last.Values, last.Length).Clear();
        new Span<sbyte>(x.Values + from * GroupSize, over * GroupSize).CopyTo(new(last.Values + to * GroupSize, over * GroupSize));
        Arrange(last.Values, Block);
        new Span<float>(last.Scales, Block).Clear();
        new Span<float>(x.Scales + from, over).CopyTo(new(last.Scales + to, over));
        new Span<int>(last.Sums, Block).Clear();
        new Span<int>(x.Sums + from, over).CopyTo(new(last.Sums + to, over));
    }
}
