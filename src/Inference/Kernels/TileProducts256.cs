using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Floats = System.Runtime.Intrinsics.Vector256<float>;
using Ints = System.Runtime.Intrinsics.Vector256<int>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Products of quantised weights with a tile of tokens in registers of 32 bytes: a lane is a token.</summary>
/// <typeparam name="TProducts">How a group's products are summed.</typeparam>
/// <typeparam name="TSums">How the groups' sums are scaled and added.</typeparam>
internal static unsafe class TileProducts256<TProducts, TSums>
    where TProducts : struct, ITileProducts
    where TSums : struct, ITileSums
{
    private static int Tile => KernelSet.Tile;

    /// <summary>output[r][t] = Σ over groups g of float(Σ w[r][i] · x[i][t], i in g) · wScale[r][g] · xScale[g][t].</summary>
    /// <remarks>Not inlined: a profile-guided caller would spread a copy of it over its own registers.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void MatMul(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next)
    {
        if (rows < 6)
        {
            for (var row = 0; row < rows; row++)
                for (var lane = 0; lane < Tile; lane += Ints.Count)
                    OneRow(w + row * x.Length * TProducts.Size, wScales + row * x.Groups, x, output + row * Tile + lane, lane);
            return;
        }
        var perGroup = next.PerStep((rows + 5) / 6 * (Tile / (2 * Ints.Count)) * x.Groups);
        var ahead = perGroup > 0 ? next.Start : w; // with nothing to ask for, for what is near
        // The last six may overlap the six before, and then compute the same numbers again.
        for (var row = 0; row < rows; row += 6)
            for (var lane = 0; lane < Tile; lane += 2 * Ints.Count, ahead += x.Groups * perGroup)
                SixRows(w, wScales, x, output, Math.Min(row, rows - 6), lane, ahead, perGroup);
    }

    /// <summary>Six rows by two registers of tokens: twelve sums in flight hide the latency of the products, and leave four registers for what they are made of.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SixRows(byte* w, float* wScales, Int8Tile x, float* output, int row, int lane, byte* ahead, nint perGroup)
    {
        nint stride = x.Length * TProducts.Size;
        nint groups = x.Groups;
        w += row * stride;
        wScales += row * groups;
        output += row * Tile + lane;
        for (var i = 0; i < 6; i++)
        {
            Floats.Zero.Store(output + i * Tile);
            Floats.Zero.Store(output + i * Tile + Floats.Count);
        }
        var second = 2 * stride;
        var v = w + 3 * stride;
        var xi = x.Values + 4 * lane;
        for (var group = 0; group < groups; group++, wScales++, ahead += perGroup)
        {
            Prefetching.TwoFarLines(ahead);
            var (a0, a1) = (Start(x, group, lane), Start(x, group, lane + Ints.Count));
            var (b0, b1, c0, c1, d0, d1) = (a0, a1, a0, a1, a0, a1);
            var (e0, e1, f0, f1) = (a0, a1, a0, a1);
            for (var end = w + x.GroupSize * TProducts.Size; w < end; w += 4, v += 4, xi += 4 * Tile)
            {
                AddStep(w, v, stride, second, xi, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1, ref e0, ref e1, ref f0, ref f1);
                if (TProducts.Size == 1)
                    continue;
                // Words come in fours of two steps: 1.05 times as fast, while bytes are as fast in one.
                w += 4;
                v += 4;
                xi += 4 * Tile;
                AddStep(w, v, stride, second, xi, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1, ref e0, ref e1, ref f0, ref f1);
            }
            var xScales = x.Scales + group * Tile + lane;
            TSums.Add(TProducts.Total(a0), TProducts.Total(a1), wScales, xScales, output);
            TSums.Add(TProducts.Total(b0), TProducts.Total(b1), wScales + groups, xScales, output + Tile);
            TSums.Add(TProducts.Total(c0), TProducts.Total(c1), wScales + 2 * groups, xScales, output + 2 * Tile);
            TSums.Add(TProducts.Total(d0), TProducts.Total(d1), wScales + 3 * groups, xScales, output + 3 * Tile);
            TSums.Add(TProducts.Total(e0), TProducts.Total(e1), wScales + 4 * groups, xScales, output + 4 * Tile);
            TSums.Add(TProducts.Total(f0), TProducts.Total(f1), wScales + 5 * groups, xScales, output + 5 * Tile);
        }
    }

    /// <summary>Four bytes of six rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddStep(byte* w, byte* v, nint stride, nint second, sbyte* x, ref Ints a0, ref Ints a1, ref Ints b0, ref Ints b1,
        ref Ints c0, ref Ints c1, ref Ints d0, ref Ints d1, ref Ints e0, ref Ints e1, ref Ints f0, ref Ints f1)
    {
        var (x0, x1) = (Vector256.Load(x), Vector256.Load(x + Vector256<sbyte>.Count));
        var weights = FourBytes(w);
        a0 = TProducts.MultiplyAdd(a0, weights, x0);
        a1 = TProducts.MultiplyAdd(a1, weights, x1);
        weights = FourBytes(w + stride);
        b0 = TProducts.MultiplyAdd(b0, weights, x0);
        b1 = TProducts.MultiplyAdd(b1, weights, x1);
        weights = FourBytes(w + second);
        c0 = TProducts.MultiplyAdd(c0, weights, x0);
        c1 = TProducts.MultiplyAdd(c1, weights, x1);
        weights = FourBytes(v);
        d0 = TProducts.MultiplyAdd(d0, weights, x0);
        d1 = TProducts.MultiplyAdd(d1, weights, x1);
        weights = FourBytes(v + stride);
        e0 = TProducts.MultiplyAdd(e0, weights, x0);
        e1 = TProducts.MultiplyAdd(e1, weights, x1);
        weights = FourBytes(v + second);
        f0 = TProducts.MultiplyAdd(f0, weights, x0);
        f1 = TProducts.MultiplyAdd(f1, weights, x1);
    }

    private static void OneRow(byte* w, float* wScales, Int8Tile x, float* output, int lane)
    {
        var sum = Floats.Zero;
        var xi = x.Values + 4 * lane;
        for (var group = 0; group < x.Groups; group++)
        {
            var dot = Start(x, group, lane);
            for (var end = w + x.GroupSize * TProducts.Size; w < end; w += 4, xi += 4 * Tile)
                dot = TProducts.MultiplyAdd(dot, FourBytes(w), Vector256.Load(xi));
            var scales = Vector256.Create(Unsafe.ReadUnaligned<float>(wScales + group)) * Vector256.Load(x.Scales + group * Tile + lane);
            sum += Vector256.ConvertToSingle(TProducts.Total(dot)) * scales;
        }
        sum.Store(output);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> FourBytes(byte* w) => Vector256.Create(Unsafe.ReadUnaligned<int>(w)).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Start(Int8Tile x, int group, int lane) => TProducts.Start(Vector256.Load(x.Sums + group * Tile + lane));
}
