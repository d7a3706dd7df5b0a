using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using LlamaFullstack.Core.Quantization;
using Bytes = System.Runtime.Intrinsics.Vector128<sbyte>;
using Floats = System.Runtime.Intrinsics.Vector128<float>;
using Ints = System.Runtime.Intrinsics.Vector128<int>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>The integer kernels in registers of 16 bytes: Arm's dot product where there is one, else code that any processor runs.</summary>
/// <param name="narrow">The set for groups that are not whole registers, and for what is not worth a second form.</param>
internal sealed unsafe class IntegerKernels128(IntegerKernels narrow) : IntegerKernels
{
    public override void Quantize(float* x, Int8Vector q) => narrow.Quantize(x, q);

    public override void QuantizeForInt4(float* x, Int8Vector q) => narrow.QuantizeForInt4(x, q);

    public override void QuantizeTile(float* x, Int8Tile q) => narrow.QuantizeTile(x, q);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void MatVecInt8(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        if (x.GroupSize % Bytes.Count != 0)
        {
            narrow.MatVecInt8(w, wScales, x, output, rows);
            return;
        }
        for (var row = 0; row < rows; row++, w += x.Length, wScales += x.Groups)
        {
            var sum = 0f;
            for (var group = 0; group < x.Groups; group++)
            {
                var dot = Vector128.Sum(Sums(w + group * x.GroupSize, x.Values + group * x.GroupSize, x.GroupSize));
                sum += dot * Unsafe.ReadUnaligned<float>(wScales + group) * x.Scales[group];
            }
            output[row] = sum;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void MatVecInt4(byte* w, Half* wScales, Int8Vector x, float* output, int rows)
    {
        if (x.GroupSize % (2 * Bytes.Count) != 0)
        {
            narrow.MatVecInt4(w, wScales, x, output, rows);
            return;
        }
        var half = x.GroupSize / 2;
        var nibble = Vector128.Create((byte)0x0f);
        for (var row = 0; row < rows; row++, wScales += x.Groups)
        {
            var (sum, bias) = (Floats.Zero, 0f);
            var xi = x.Values;
            for (var group = 0; group < x.Groups; group++, xi += x.GroupSize)
            {
                var dot = Ints.Zero;
                for (var i = 0; i < half; i += Bytes.Count, w += Bytes.Count)
                {
                    var codes = Vector128.Load(w);
                    dot = MultiplyAdd(dot, (codes & nibble).AsSByte(), Vector128.Load(xi + i));
                    dot = MultiplyAdd(dot, (codes >>> 4).AsSByte(), Vector128.Load(xi + half + i));
                }
                var scale = (float)wScales[group] * x.Scales[group];
                sum += Vector128.ConvertToSingle(dot) * scale;
                bias += scale * x.Sums[group];
            }
            output[row] = Vector128.Sum(sum) - Int4Groups.Offset * bias;
        }
    }

    public override void ArrangeInt8(sbyte* w, byte* to, int n) => narrow.ArrangeInt8(w, to, n);

    public override void MatMulInt8(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next)
    {
        next.AskForAll();
        MatMul((sbyte*)w, offset: 0, wScales, x, output, rows);
    }

    public override void MatMulInt4(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next)
    {
        next.AskForAll();
        MatMul((sbyte*)w, Int4Groups.Offset, wScales, x, output, rows);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void UnpackInt4(byte* codes, byte* to, int n, int groupSize)
    {
        if (groupSize != 2 * Bytes.Count)
        {
            narrow.UnpackInt4(codes, to, n, groupSize);
            return;
        }
        var nibble = Vector128.Create((byte)0x0f);
        for (var i = 0; i < n; i += groupSize, codes += Bytes.Count)
        {
            var both = Vector128.Load(codes);
            (both & nibble).Store(to + i);
            (both >>> 4).Store(to + i + Bytes.Count);
        }
    }

    /// <summary>Products with w − offset.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MatMul(sbyte* w, int offset, float* wScales, Int8Tile x, float* output, int rows)
    {
        for (var row = 0; row < rows; row++, w += x.Length, wScales += x.Groups, output += Tile)
        {
            for (var lane = 0; lane < Tile; lane += 2 * Ints.Count)
            {
                var (sum0, sum1) = (Floats.Zero, Floats.Zero);
                for (var group = 0; group < x.Groups; group++)
                {
                    var sums = x.Sums + group * Tile + lane;
                    var (dot0, dot1) = (Vector128.Load(sums) * -offset, Vector128.Load(sums + Ints.Count) * -offset);
                    for (var i = group * x.GroupSize; i < (group + 1) * x.GroupSize; i += 4)
                    {
                        var four = Vector128.Create(Unsafe.ReadUnaligned<int>(w + i)).AsSByte();
                        var xi = x.Values + i * Tile + 4 * lane;
                        dot0 = MultiplyAddFours(dot0, four, Vector128.Load(xi));
                        dot1 = MultiplyAddFours(dot1, four, Vector128.Load(xi + Bytes.Count));
                    }
                    var scale = Unsafe.ReadUnaligned<float>(wScales + group);
                    sum0 += Vector128.ConvertToSingle(dot0) * scale * Vector128.Load(x.Scales + group * Tile + lane);
                    sum1 += Vector128.ConvertToSingle(dot1) * scale * Vector128.Load(x.Scales + group * Tile + lane + Floats.Count);
                }
                sum0.Store(output + lane);
                sum1.Store(output + lane + Floats.Count);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Sums(sbyte* w, sbyte* x, int n)
    {
        var sum = Ints.Zero;
        for (var i = 0; i < n; i += Bytes.Count)
            sum = MultiplyAdd(sum, Vector128.Load(w + i), Vector128.Load(x + i));
        return sum;
    }

    /// <summary>Sixteen products, added to any of the four sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints MultiplyAdd(Ints sum, Bytes w, Bytes x)
    {
        if (Dp.IsSupported)
            return Dp.DotProduct(sum, w, x);
        // Two products fit an int16: 2 · 128 · 127 = 32,512.
        var pairs = Vector128.WidenLower(w) * Vector128.WidenLower(x) + Vector128.WidenUpper(w) * Vector128.WidenUpper(x);
        return sum + Vector128.WidenLower(pairs) + Vector128.WidenUpper(pairs);
    }

    /// <summary>Sixteen products, each four neighbours added to their own sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints MultiplyAddFours(Ints sum, Bytes w, Bytes x)
    {
        if (Dp.IsSupported)
            return Dp.DotProduct(sum, w, x);
        for (var shift = 24; shift >= 0; shift -= 8)
            sum += ((w.AsInt32() << shift) >> 24) * ((x.AsInt32() << shift) >> 24);
        return sum;
    }
}
