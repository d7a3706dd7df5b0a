using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using LlamaFullstack.Core.Quantization;
using Floats = System.Runtime.Intrinsics.Vector256<float>;
using Ints = System.Runtime.Intrinsics.Vector256<int>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Rows of quantised weights by one vector for groups that are narrower than a register of 32 bytes: 4, 8 or 16 weights.</summary>
/// <typeparam name="TProducts">How this processor multiplies bytes.</typeparam>
/// <typeparam name="TSize">The group size.</typeparam>
/// <remarks>Eight groups at a time, a lane each. Where their number is not a multiple, the last eight overlap those before, and what these have is left out.</remarks>
internal static unsafe class NarrowRows256<TProducts, TSize>
    where TProducts : struct, IByteProducts
    where TSize : struct, IGroupSize
{
    /// <summary>Rows, and groups of a row, that are taken at once.</summary>
    public const int Step = 8;

    // Weights whose products fill a register.
    private const int Products = 32;

    /// <summary><see cref="IntegerKernels.MatVecInt8"/> for at least eight rows of at least eight groups.</summary>
    /// <remarks>Eight rows by eight groups are turned around, so that each row adds its groups in runq.c's order without a sum across a register.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MatVecInt8(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        // The last eight rows may overlap those before, and then compute the same numbers again.
        for (var row = 0; row < rows; row += Step)
        {
            var at = Math.Min(row, rows - Step);
            EightRows(w + (long)at * x.Length, wScales + (long)at * x.Groups, x).Store(output + at);
        }
    }

    /// <summary><see cref="IntegerKernels.MatVecInt4"/> for rows of at least eight groups.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MatVecInt4(byte* w, Half* wScales, Int8Vector x, float* output, int rows)
    {
        var n = TSize.Of(x);
        for (var row = 0; row < rows; row++, w += x.Length / 2, wScales += x.Groups)
        {
            var sum = Floats.Zero;
            for (var group = 0; group < x.Groups; group += Step)
            {
                var at = Math.Min(group, x.Groups - Step);
                var totals = CodeTotals(w + at * n / 2, x.Values + at * n, n) - Vector256.Load(x.Sums + at) * Int4Groups.Offset;
                var terms = Vector256.ConvertToSingle(totals) * Lanes256.ToSingle(wScales + at);
                if (at < group)
                    terms = Lanes256.KeepLast(terms, at + Step - group);
                sum = Fma.MultiplyAdd(terms, Vector256.Load(x.Scales + at), sum);
            }
            output[row] = Lanes256.Sum(sum);
        }
    }

    /// <summary><see cref="IntegerKernels.UnpackInt4"/> as far as whole registers go.</summary>
    /// <returns>Weights that were unpacked.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int UnpackInt4(byte* codes, byte* to, int n)
    {
        var i = 0;
        for (; i <= n - Products; i += Products)
            Unpack(codes + i / 2, TSize.Of(default)).Store(to + i);
        return i;
    }

    /// <summary>The sums of eight rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats EightRows(sbyte* w, float* wScales, in Int8Vector x)
    {
        var n = TSize.Of(x);
        nint cols = x.Length;
        nint groups = x.Groups;
        var sum = Floats.Zero;
        for (nint group = 0; group < groups; group += Step)
        {
            var at = Math.Min(group, groups - Step);
            var xi = x.Values + at * n;
            var xScales = Vector256.Load(x.Scales + at);
            var bias = Vector256.Load(x.Sums + at) * TProducts.Bias;
            var wi = w + at * n;
            var scales = wScales + at;
            var a = Terms(wi, scales, xi, n, bias, xScales);
            var b = Terms(wi + cols, scales + groups, xi, n, bias, xScales);
            var c = Terms(wi + 2 * cols, scales + 2 * groups, xi, n, bias, xScales);
            var d = Terms(wi + 3 * cols, scales + 3 * groups, xi, n, bias, xScales);
            var e = Terms(wi + 4 * cols, scales + 4 * groups, xi, n, bias, xScales);
            var f = Terms(wi + 5 * cols, scales + 5 * groups, xi, n, bias, xScales);
            var g = Terms(wi + 6 * cols, scales + 6 * groups, xi, n, bias, xScales);
            var h = Terms(wi + 7 * cols, scales + 7 * groups, xi, n, bias, xScales);

            // A lane a group becomes a lane a row: first within the halves of a register, where groups 0 to 3 and 4 to 7 lie.
            var (a0, a1, a2, a3) = TurnHalves(a, b, c, d);
            var (e0, e1, e2, e3) = TurnHalves(e, f, g, h);
            var done = group - at; // groups that were added before
            if (done < 1)
                sum += Avx.Permute2x128(a0, e0, 0x20);
            if (done < 2)
                sum += Avx.Permute2x128(a1, e1, 0x20);
            if (done < 3)
                sum += Avx.Permute2x128(a2, e2, 0x20);
            if (done < 4)
                sum += Avx.Permute2x128(a3, e3, 0x20);
            if (done < 5)
                sum += Avx.Permute2x128(a0, e0, 0x31);
            if (done < 6)
                sum += Avx.Permute2x128(a1, e1, 0x31);
            if (done < 7)
                sum += Avx.Permute2x128(a2, e2, 0x31);
            sum += Avx.Permute2x128(a3, e3, 0x31);
        }
        return sum;
    }

    /// <summary>What eight groups of a row add to its sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats Terms(sbyte* w, float* wScales, sbyte* x, nint n, Ints bias, Floats xScales)
    {
        var totals = Totals(w, x, n);
        if (TProducts.Bias != 0)
            totals -= bias;
        return Vector256.ConvertToSingle(totals) * Vector256.Load(wScales) * xScales;
    }

    /// <summary>Four by four numbers turned around, in each half of the registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Floats, Floats, Floats, Floats) TurnHalves(Floats a, Floats b, Floats c, Floats d)
    {
        var (ab, cd) = (Avx.UnpackLow(a, b).AsDouble(), Avx.UnpackLow(c, d).AsDouble());
        var (ef, gh) = (Avx.UnpackHigh(a, b).AsDouble(), Avx.UnpackHigh(c, d).AsDouble());
        return (Avx.UnpackLow(ab, cd).AsSingle(), Avx.UnpackHigh(ab, cd).AsSingle(), Avx.UnpackLow(ef, gh).AsSingle(), Avx.UnpackHigh(ef, gh).AsSingle());
    }

    /// <summary>Σ (w + bias) · x of eight groups of int8 weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Totals(sbyte* w, sbyte* x, nint n)
    {
        var a = Fours(w, x);
        if (n == 4)
            return a;
        var b = Fours(w + Products, x + Products);
        if (n == 8)
            return Eights(a, b);
        return Sixteens(a, b, Fours(w + 2 * Products, x + 2 * Products), Fours(w + 3 * Products, x + 3 * Products));
    }

    /// <summary>Σ code · x of eight groups of 4-bit weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints CodeTotals(byte* w, sbyte* x, nint n)
    {
        const int Bytes = Products / 2;
        var a = CodeFours(w, x, n);
        if (n == 4)
            return a;
        var b = CodeFours(w + Bytes, x + Products, n);
        if (n == 8)
            return Eights(a, b);
        return Sixteens(a, b, CodeFours(w + 2 * Bytes, x + 2 * Products, n), CodeFours(w + 3 * Bytes, x + 3 * Products, n));
    }

    // A product of bytes sums four neighbours.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Fours(sbyte* w, sbyte* x) => TProducts.MultiplyAdd(Ints.Zero, TProducts.Weights(Vector256.Load(w)), Vector256.Load(x));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints CodeFours(byte* w, sbyte* x, nint n) => TProducts.MultiplyAddCodes(Ints.Zero, Unpack(w, n), Vector256.Load(x));

    // The horizontal addition works in halves: it gives groups 0, 1, 4, 5, 2, 3, 6, 7.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Eights(Ints a, Ints b) => Avx2.Permute4x64(Avx2.HorizontalAdd(a, b).AsInt64(), 0b11_01_10_00).AsInt32();

    // Groups 0, 2, 4, 6 come to lie in the lower half, 1, 3, 5, 7 in the upper one.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Sixteens(Ints a, Ints b, Ints c, Ints d) =>
        Avx2.PermuteVar8x32(Avx2.HorizontalAdd(Avx2.HorizontalAdd(a, b), Avx2.HorizontalAdd(c, d)), Vector256.Create(0, 4, 1, 5, 2, 6, 3, 7));

    /// <summary>The codes of 32 weights, a byte each: the low nibbles of a group's bytes are its first half, the high ones its second.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Unpack(byte* w, nint n)
    {
        var codes = Vector128.Load(w);
        var (low, high) = (codes & Vector128.Create((byte)0x0f), codes >>> 4);
        if (n == 4)
            return Vector256.Create(Sse2.UnpackLow(low.AsUInt16(), high.AsUInt16()), Sse2.UnpackHigh(low.AsUInt16(), high.AsUInt16())).AsByte();
        if (n == 8)
            return Vector256.Create(Sse2.UnpackLow(low.AsUInt32(), high.AsUInt32()), Sse2.UnpackHigh(low.AsUInt32(), high.AsUInt32())).AsByte();
        return Vector256.Create(Sse2.UnpackLow(low.AsUInt64(), high.AsUInt64()), Sse2.UnpackHigh(low.AsUInt64(), high.AsUInt64())).AsByte();
    }
}
