using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using LlamaFullstack.Core.Quantization;
using Bytes = System.Runtime.Intrinsics.Vector512<byte>;
using Floats = System.Runtime.Intrinsics.Vector512<float>;
using Ints = System.Runtime.Intrinsics.Vector512<int>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Rows of 4-bit weights by one vector, in registers of 64 bytes: <see cref="IntegerKernels.MatVecInt4"/> for groups of 32.</summary>
/// <remarks>
/// Unpacking costs more than multiplying, and AVX-512 halves it. .NET 10 has no 512-bit form of VNNI's product, but codes of 0 to 15 do without:
/// sums of four products stay below 15 · 127 · 4 = 7,620, which an int16 holds.
/// </remarks>
internal static unsafe class Int4Rows512
{
    private const int GroupSize = 32;

    // Groups in a register of codes, and bytes of codes in a group: a group's sums stay in its quarter.
    private const int Quad = 4;
    private const int GroupBytes = GroupSize / 2;

    // Four rows' scales lie on the stack: 16 KB at the most.
    private const int MostGroups = 1024;

    /// <summary>Whether an activation has such groups, and not too many.</summary>
    public static bool Takes(in Int8Vector x) => x.GroupSize == GroupSize && x.Groups <= MostGroups;

    /// <summary>Brings values into the order in which <see cref="MatVec"/> meets the codes: four groups' first halves, which lie in low nibbles, then
    /// their second halves. Groups that are left over stay as they are.</summary>
    public static void Arrange(in Int8Vector q)
    {
        for (var quad = q.Values; quad < q.Values + q.Groups / Quad * Quad * GroupSize; quad += Quad * GroupSize)
        {
            var (a, b) = (Vector512.Load(quad).AsInt64(), Vector512.Load(quad + 64).AsInt64());
            Avx512F.PermuteVar8x64x2(a, Vector512.Create(0L, 1, 4, 5, 8, 9, 12, 13), b).AsSByte().Store(quad);
            Avx512F.PermuteVar8x64x2(a, Vector512.Create(2L, 3, 6, 7, 10, 11, 14, 15), b).AsSByte().Store(quad + 64);
        }
    }

    /// <inheritdoc cref="IntegerKernels.MatVecInt4"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MatVec(byte* w, Half* wScales, Int8Vector x, float* output, int rows)
    {
        var scales = stackalloc float[4 * x.Groups];
        var sums = stackalloc float[4];
        nint bytes = x.Length / 2;
        var row = 0;
        for (; row <= rows - 4; row += 4, w += 4 * bytes, wScales += 4 * x.Groups)
            FourRows(w, bytes, wScales, x, scales, output + row);
        for (; row < rows; row++, w += bytes, wScales += x.Groups)
        {
            FourRows(w, 0, wScales, x, scales, sums); // the same one four times
            output[row] = sums[0];
        }
    }

    /// <summary>Four rows at a time: they share what is loaded of x, and their block of memory is asked for by address.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FourRows(byte* w, nint stride, Half* wScales, in Int8Vector x, float* scales, float* output)
    {
        nint groups = x.Groups;
        for (var row = 0; row < 4; row++)
            Scale(wScales + (stride == 0 ? 0 : row * groups), x.Scales, scales + row * groups, (int)groups);

        var ahead = w + Prefetching.Distance;
        var xi = x.Values;
        var (a, b, c, d) = (Floats.Zero, Floats.Zero, Floats.Zero, Floats.Zero);
        nint group = 0;
        for (; group <= groups - Quad; group += Quad, w += Bytes.Count, xi += 2 * Bytes.Count, ahead += 4 * Bytes.Count)
        {
            Prefetching.Lines(ahead, 4 * Bytes.Count);
            var (low, high) = (Vector512.Load(xi), Vector512.Load(xi + Bytes.Count));
            // A code is its weight + 8: twice Σ x in each of four lanes is eight times it.
            var offset = Spread(Avx512F.BroadcastVector128ToVector512(x.Sums + group)) * (Int4Groups.Offset / 4);
            var scale = scales + group;
            a = AddProducts(a, Vector512.Load(w), low, high, offset, scale);
            b = AddProducts(b, Vector512.Load(w + stride), low, high, offset, scale + groups);
            c = AddProducts(c, Vector512.Load(w + 2 * stride), low, high, offset, scale + 2 * groups);
            d = AddProducts(d, Vector512.Load(w + 3 * stride), low, high, offset, scale + 3 * groups);
        }
        (output[0], output[1], output[2], output[3]) = (Vector512.Sum(a), Vector512.Sum(b), Vector512.Sum(c), Vector512.Sum(d));
        for (; group < groups; group++, w += GroupBytes, xi += GroupSize)
            for (var row = 0; row < 4; row++)
                output[row] += (OneGroup(w + row * stride, xi) - Int4Groups.Offset * x.Sums[group]) * scales[row * groups + group];
    }

    /// <summary>sum + (codes − 8) · x · scale for four groups.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats AddProducts(Floats sum, Bytes codes, Vector512<sbyte> low, Vector512<sbyte> high, Ints offset, float* scales)
    {
        var nibble = Vector512.Create((byte)0x0f);
        var pairs = Avx512BW.MultiplyAddAdjacent(codes & nibble, low) + Avx512BW.MultiplyAddAdjacent((codes.AsUInt16() >>> 4).AsByte() & nibble, high);
        var totals = Avx512BW.MultiplyAddAdjacent(pairs, Vector512<short>.One) - offset;
        return Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(totals), Spread(Avx512F.BroadcastVector128ToVector512(scales).AsInt32()).AsSingle(), sum);
    }

    /// <summary>Each of the first four lanes four times.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Spread(Ints v) => Avx512F.PermuteVar16x32(v, Vector512.Create(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int OneGroup(byte* w, sbyte* x)
    {
        var codes = Vector128.Load(w);
        var halves = Vector256.Create(codes, codes >>> 4) & Vector256.Create((byte)0x0f);
        return Vector256.Sum(Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(halves, Vector256.Load(x)), Vector256<short>.One));
    }

    /// <summary>scales[g] = wScales[g] · xScales[g].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scale(Half* wScales, float* xScales, float* scales, int groups)
    {
        const int Step = 8;
        if (groups < Step)
        {
            for (var group = 0; group < groups; group++)
                scales[group] = (float)wScales[group] * xScales[group];
            return;
        }
        // The last step overlaps the one before, and then computes the same numbers again.
        for (var group = 0; group < groups; group += Step)
        {
            var at = Math.Min(group, groups - Step);
            (Lanes256.ToSingle(wScales + at) * Vector256.Load(xScales + at)).Store(scales + at);
        }
    }
}
