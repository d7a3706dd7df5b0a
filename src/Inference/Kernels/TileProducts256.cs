using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Floats = System.Runtime.Intrinsics.Vector256<float>;
using Ints = System.Runtime.Intrinsics.Vector256<int>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Products of quantised weights with a tile of tokens in registers of 32 bytes: a lane is a token.</summary>
/// <typeparam name="TWeights">How the weights are multiplied.</typeparam>
/// <typeparam name="TSums">How the groups' sums are scaled and added.</typeparam>
internal static unsafe class TileProducts256<TWeights, TSums>
    where TWeights : struct, IByteProducts
    where TSums : struct, ITileSums
{
    private const int Tile = KernelSet.Tile;

    /// <summary>output[r][t] = Σ over groups g of float(Σ w[r][i] · x[i][t], i in g) · wScale[r][g] · xScale[g][t].</summary>
    /// <remarks>Not inlined: a profile-guided caller would spread a copy of it over its own registers.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void MatMul(byte* w, float* wScales, Int8Tile x, float* output, int rows)
    {
        if (rows < 6)
        {
            for (var row = 0; row < rows; row++)
                for (var lane = 0; lane < Tile; lane += Ints.Count)
                    OneRow(w + row * x.Length, wScales + row * x.Groups, x, output + row * Tile + lane, lane);
            return;
        }
        // The last six may overlap the six before, and then compute the same numbers again.
        for (var row = 0; row < rows; row += 6)
            for (var lane = 0; lane < Tile; lane += 2 * Ints.Count)
                SixRows(w, wScales, x, output, Math.Min(row, rows - 6), lane);
    }

    /// <summary>Six rows by two registers of tokens: twelve sums in flight hide the latency of the products, and leave four registers for what they are made of.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SixRows(byte* w, float* wScales, Int8Tile x, float* output, int row, int lane)
    {
        nint cols = x.Length;
        nint groups = x.Groups;
        w += row * cols;
        wScales += row * groups;
        output += row * Tile + lane;
        for (var i = 0; i < 6; i++)
        {
            Floats.Zero.Store(output + i * Tile);
            Floats.Zero.Store(output + i * Tile + Floats.Count);
        }
        var twoRows = 2 * cols;
        var v = w + 3 * cols;
        var xi = x.Values + 4 * lane;
        for (var group = 0; group < groups; group++, wScales++)
        {
            var (a0, a1) = (Start(x, group, lane), Start(x, group, lane + Ints.Count));
            var (b0, b1, c0, c1, d0, d1) = (a0, a1, a0, a1, a0, a1);
            var (e0, e1, f0, f1) = (a0, a1, a0, a1);
            for (var end = w + x.GroupSize; w < end; w += 4, v += 4, xi += 4 * Tile)
            {
                var (x0, x1) = (Vector256.Load(xi), Vector256.Load(xi + Vector256<sbyte>.Count));
                var four = FourWeights(w);
                a0 = TWeights.MultiplyAdd(a0, four, x0);
                a1 = TWeights.MultiplyAdd(a1, four, x1);
                four = FourWeights(w + cols);
                b0 = TWeights.MultiplyAdd(b0, four, x0);
                b1 = TWeights.MultiplyAdd(b1, four, x1);
                four = FourWeights(w + twoRows);
                c0 = TWeights.MultiplyAdd(c0, four, x0);
                c1 = TWeights.MultiplyAdd(c1, four, x1);
                four = FourWeights(v);
                d0 = TWeights.MultiplyAdd(d0, four, x0);
                d1 = TWeights.MultiplyAdd(d1, four, x1);
                four = FourWeights(v + cols);
                e0 = TWeights.MultiplyAdd(e0, four, x0);
                e1 = TWeights.MultiplyAdd(e1, four, x1);
                four = FourWeights(v + twoRows);
                f0 = TWeights.MultiplyAdd(f0, four, x0);
                f1 = TWeights.MultiplyAdd(f1, four, x1);
            }
            var xScales = x.Scales + group * Tile + lane;
            TSums.Add(a0, a1, wScales, xScales, output);
            TSums.Add(b0, b1, wScales + groups, xScales, output + Tile);
            TSums.Add(c0, c1, wScales + 2 * groups, xScales, output + 2 * Tile);
            TSums.Add(d0, d1, wScales + 3 * groups, xScales, output + 3 * Tile);
            TSums.Add(e0, e1, wScales + 4 * groups, xScales, output + 4 * Tile);
            TSums.Add(f0, f1, wScales + 5 * groups, xScales, output + 5 * Tile);
        }
    }

    private static void OneRow(byte* w, float* wScales, Int8Tile x, float* output, int lane)
    {
        var sum = Floats.Zero;
        var xi = x.Values + 4 * lane;
        for (var group = 0; group < x.Groups; group++)
        {
            var dot = Start(x, group, lane);
            for (var end = w + x.GroupSize; w < end; w += 4, xi += 4 * Tile)
                dot = TWeights.MultiplyAdd(dot, FourWeights(w), Vector256.Load(xi));
            sum += Vector256.ConvertToSingle(dot) * Vector256.Create(Unsafe.ReadUnaligned<float>(wScales + group)) * Vector256.Load(x.Scales + group * Tile + lane);
        }
        sum.Store(output);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> FourWeights(byte* w) => Vector256.Create(Unsafe.ReadUnaligned<int>(w)).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Start(Int8Tile x, int group, int lane) => Vector256.Load(x.Sums + group * Tile + lane) * -TWeights.Bias;
}
