using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Floats = System.Runtime.Intrinsics.Vector512<float>;
using Ints = System.Runtime.Intrinsics.Vector512<int>;
using Shorts = System.Runtime.Intrinsics.Vector512<short>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Products of int8 weights with a tile of tokens, in registers of 64 bytes and by way of int16: for processors without AVX-VNNI. A lane is a token.</summary>
/// <remarks>
/// The product of signed bytes that AVX2 has takes four instructions for 64 of them, two of which turn signs. One of int16 multiplies 32 and adds
/// them in pairs, exactly; what it needs widened is widened once: weights for all tiles, activations for eight rows.
/// </remarks>
internal static unsafe class WordTiles512
{
    private static int Tile => KernelSet.Tile;
    private const int Rows = 8;

    /// <summary>Weights as int16, of each four the even ones and then the odd ones, as shifting leaves activations.</summary>
    /// <param name="w">(n), at any address.</param>
    /// <param name="to">(n).</param>
    /// <param name="n">Weights; a multiple of 4.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Arrange(sbyte* w, short* to, int n)
    {
        const byte evenFirst = 0b11_01_10_00;
        var i = 0;
        for (; i <= n - Shorts.Count; i += Shorts.Count)
        {
            var words = Avx512BW.ConvertToVector512Int16(Vector256.Load(w + i));
            Avx512BW.ShuffleHigh(Avx512BW.ShuffleLow(words, evenFirst), evenFirst).Store(to + i);
        }
        for (; i < n; i += 4)
            (to[i], to[i + 1], to[i + 2], to[i + 3]) = (w[i], w[i + 2], w[i + 1], w[i + 3]);
    }

    /// <summary><see cref="IntegerKernels.MatMulInt8"/> with weights from <see cref="Arrange"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void MatMul(short* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next)
    {
        next.AskForAll();
        if (rows >= Rows)
        {
            // The last eight may overlap the eight before, and then compute the same numbers again.
            for (var row = 0; row < rows; row += Rows)
            {
                var at = Math.Min(row, rows - Rows);
                EightRows(w + (long)at * x.Length, x.Length, wScales + (long)at * x.Groups, x.Groups, x, output + at * Tile);
            }
            return;
        }
        // Fewer, which is rare, are computed as eight times the same.
        var same = stackalloc float[Rows * Tile];
        for (var row = 0; row < rows; row++)
        {
            EightRows(w + (long)row * x.Length, 0, wScales + (long)row * x.Groups, 0, x, same);
            Buffer.MemoryCopy(same, output + row * Tile, Tile * sizeof(float), Tile * sizeof(float));
        }
    }

    /// <summary>Eight rows by two registers of tokens: sixteen sums of a group in registers, and those of all groups before it in memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)] // too large to be inlined: it would start as unoptimised code
    private static void EightRows(short* w, nint stride, float* wScales, nint scaleStride, Int8Tile x, float* output)
    {
        for (var i = 0; i < Rows * Tile; i += Floats.Count)
            Floats.Zero.Store(output + i);
        var (second, third) = (2 * stride, 3 * stride);
        var v = w + 4 * stride;
        var xi = (short*)x.Values;
        var xScales = x.Scales;
        for (var group = 0; group < x.Groups; group++, wScales++, xScales += Tile)
        {
            var (a0, a1, b0, b1) = (Ints.Zero, Ints.Zero, Ints.Zero, Ints.Zero);
            var (c0, c1, d0, d1) = (Ints.Zero, Ints.Zero, Ints.Zero, Ints.Zero);
            var (e0, e1, f0, f1) = (Ints.Zero, Ints.Zero, Ints.Zero, Ints.Zero);
            var (g0, g1, h0, h1) = (Ints.Zero, Ints.Zero, Ints.Zero, Ints.Zero);
            for (var end = w + x.GroupSize; w < end; w += 4, v += 4, xi += 2 * Tile)
            {
                // Four features of a token are a lane: the even ones as int16, then the odd ones.
                var (x0, x1) = (Vector512.Load(xi), Vector512.Load(xi + Shorts.Count));
                var (even0, even1) = (x0 << 8 >> 8, x1 << 8 >> 8);
                AddFour(w, stride, second, third, even0, even1, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1);
                AddFour(v, stride, second, third, even0, even1, ref e0, ref e1, ref f0, ref f1, ref g0, ref g1, ref h0, ref h1);
                var (odd0, odd1) = (x0 >> 8, x1 >> 8);
                AddFour(w + 2, stride, second, third, odd0, odd1, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1);
                AddFour(v + 2, stride, second, third, odd0, odd1, ref e0, ref e1, ref f0, ref f1, ref g0, ref g1, ref h0, ref h1);
            }
            var (s0, s1) = (Vector512.Load(xScales), Vector512.Load(xScales + Floats.Count));
            AddScaled(a0, a1, wScales, s0, s1, output);
            AddScaled(b0, b1, wScales + scaleStride, s0, s1, output + Tile);
            AddScaled(c0, c1, wScales + 2 * scaleStride, s0, s1, output + 2 * Tile);
            AddScaled(d0, d1, wScales + 3 * scaleStride, s0, s1, output + 3 * Tile);
            AddScaled(e0, e1, wScales + 4 * scaleStride, s0, s1, output + 4 * Tile);
            AddScaled(f0, f1, wScales + 5 * scaleStride, s0, s1, output + 5 * Tile);
            AddScaled(g0, g1, wScales + 6 * scaleStride, s0, s1, output + 6 * Tile);
            AddScaled(h0, h1, wScales + 7 * scaleStride, s0, s1, output + 7 * Tile);
        }
    }

    /// <summary>Two features' products of four rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddFour(short* w, nint stride, nint second, nint third, Shorts x0, Shorts x1, ref Ints a0, ref Ints a1,
        ref Ints b0, ref Ints b1, ref Ints c0, ref Ints c1, ref Ints d0, ref Ints d1)
    {
        var two = TwoWeights(w);
        a0 += Avx512BW.MultiplyAddAdjacent(two, x0);
        a1 += Avx512BW.MultiplyAddAdjacent(two, x1);
        two = TwoWeights(w + stride);
        b0 += Avx512BW.MultiplyAddAdjacent(two, x0);
        b1 += Avx512BW.MultiplyAddAdjacent(two, x1);
        two = TwoWeights(w + second);
        c0 += Avx512BW.MultiplyAddAdjacent(two, x0);
        c1 += Avx512BW.MultiplyAddAdjacent(two, x1);
        two = TwoWeights(w + third);
        d0 += Avx512BW.MultiplyAddAdjacent(two, x0);
        d1 += Avx512BW.MultiplyAddAdjacent(two, x1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddScaled(Ints dot0, Ints dot1, float* wScale, Floats xScales0, Floats xScales1, float* sums)
    {
        var scale = Vector512.Create(Unsafe.ReadUnaligned<float>(wScale));
        Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(dot0), scale * xScales0, Vector512.Load(sums)).Store(sums);
        Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(dot1), scale * xScales1, Vector512.Load(sums + Floats.Count)).Store(sums + Floats.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Shorts TwoWeights(short* w) => Vector512.Create(Unsafe.ReadUnaligned<int>(w)).AsInt16();
}
