using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Floats = System.Runtime.Intrinsics.Vector256<float>;
using Ints = System.Runtime.Intrinsics.Vector256<int>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Products of quantised weights with a tile of tokens in registers of 32 bytes: a lane is a token.</summary>
/// <typeparam name="TWeights">How the weights are multiplied.</typeparam>
internal static unsafe class TileProducts256<TWeights>
    where TWeights : struct, IByteProducts
{
    private const int Tile = KernelSet.Tile;

    /// <summary>output[r][t] = Σ over groups g of float(Σ w[r][i] · x[i][t], i in g) · wScale[r][g] · xScale[g][t].</summary>
    /// <remarks>Not inlined: a profile-guided caller would spread a copy of it over its own registers.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void MatMul(sbyte* w, float* wScales, Int8Tile x, float* output, int rows)
    {
        var row = 0;
        for (; row <= rows - 4; row += 4, w += 4 * x.Length, wScales += 4 * x.Groups)
            for (var lane = 0; lane < Tile; lane += 2 * Ints.Count)
                FourRows(w, wScales, x, output + row * Tile + lane, lane);
        for (; row < rows; row++, w += x.Length, wScales += x.Groups)
            for (var lane = 0; lane < Tile; lane += Ints.Count)
                OneRow(w, wScales, x, output + row * Tile + lane, lane);
    }

    /// <summary>Four rows by two registers of tokens: eight sums in flight hide the latency of the products.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FourRows(sbyte* w, float* wScales, Int8Tile x, float* output, int lane)
    {
        var (cols, groups) = (x.Length, x.Groups);
        for (var row = 0; row < 4; row++)
        {
            Floats.Zero.Store(output + row * Tile);
            Floats.Zero.Store(output + row * Tile + Floats.Count);
        }
        var xi = x.Values + 4 * lane;
        for (var group = 0; group < groups; group++)
        {
            var (a0, a1) = (Start(x, group, lane), Start(x, group, lane + Ints.Count));
            var (b0, b1, c0, c1, d0, d1) = (a0, a1, a0, a1, a0, a1);
            for (var end = w + x.GroupSize; w < end; w += 4, xi += 4 * Tile)
            {
                var (x0, x1) = (Vector256.Load(xi), Vector256.Load(xi + Vector256<sbyte>.Count));
                var four = TWeights.FourWeights(w);
                a0 = TWeights.MultiplyAdd(a0, four, x0);
                a1 = TWeights.MultiplyAdd(a1, four, x1);
                four = TWeights.FourWeights(w + cols);
                b0 = TWeights.MultiplyAdd(b0, four, x0);
                b1 = TWeights.MultiplyAdd(b1, four, x1);
                four = TWeights.FourWeights(w + 2 * cols);
                c0 = TWeights.MultiplyAdd(c0, four, x0);
                c1 = TWeights.MultiplyAdd(c1, four, x1);
                four = TWeights.FourWeights(w + 3 * cols);
                d0 = TWeights.MultiplyAdd(d0, four, x0);
                d1 = TWeights.MultiplyAdd(d1, four, x1);
            }
            var (s0, s1) = (Vector256.Load(x.Scales + group * Tile + lane), Vector256.Load(x.Scales + group * Tile + lane + Floats.Count));
            AddScaled(a0, a1, wScales + group, s0, s1, output);
            AddScaled(b0, b1, wScales + groups + group, s0, s1, output + Tile);
            AddScaled(c0, c1, wScales + 2 * groups + group, s0, s1, output + 2 * Tile);
            AddScaled(d0, d1, wScales + 3 * groups + group, s0, s1, output + 3 * Tile);
        }
    }

    private static void OneRow(sbyte* w, float* wScales, Int8Tile x, float* output, int lane)
    {
        var sum = Floats.Zero;
        var xi = x.Values + 4 * lane;
        for (var group = 0; group < x.Groups; group++)
        {
            var dot = Start(x, group, lane);
            for (var end = w + x.GroupSize; w < end; w += 4, xi += 4 * Tile)
                dot = TWeights.MultiplyAdd(dot, TWeights.FourWeights(w), Vector256.Load(xi));
            sum += Vector256.ConvertToSingle(dot) * Vector256.Create(Unsafe.ReadUnaligned<float>(wScales + group)) * Vector256.Load(x.Scales + group * Tile + lane);
        }
        sum.Store(output);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Start(Int8Tile x, int group, int lane) => Vector256.Load(x.Sums + group * Tile + lane) * -TWeights.Bias;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddScaled(Ints dot0, Ints dot1, float* wScale, Floats xScales0, Floats xScales1, float* output)
    {
        var scale = Vector256.Create(Unsafe.ReadUnaligned<float>(wScale));
        Fma.MultiplyAdd(Vector256.ConvertToSingle(dot0), scale * xScales0, Vector256.Load(output)).Store(output);
        Fma.MultiplyAdd(Vector256.ConvertToSingle(dot1), scale * xScales1, Vector256.Load(output + Floats.Count)).Store(output + Floats.Count);
    }
}
