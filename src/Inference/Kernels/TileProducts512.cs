using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using LlamaFullstack.Core.Quantization;
using Floats = System.Runtime.Intrinsics.Vector512<float>;
using Ints = System.Runtime.Intrinsics.Vector512<int>;
using Shorts = System.Runtime.Intrinsics.Vector512<short>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Products of 4-bit weights with a tile of tokens in registers of 64 bytes: a lane is a token.</summary>
/// <remarks>
/// A code of 0 to 15 leaves room: eight sums of two products fit an int16, 8 · 2 · 15 · 127 = 30,480, so that only one instruction in nine widens
/// them. 1.5 times as fast as AVX-VNNI's 256 bits.
/// </remarks>
internal static unsafe class TileProducts512
{
    private static int Tile => KernelSet.Tile;

    // Features whose products fit an int16: eight steps of two.
    private const int Run = 32;

    /// <summary>output[r][t] = Σ over groups g of float(Σ (w[r][i] − 8) · x[i][t], i in g) · wScale[r][g] · xScale[g][t].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void MatMulInt4(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next)
    {
        var perGroup = next.PerStep(rows / 4 * x.Groups);
        var ahead = perGroup > 0 ? next.Start : w; // with nothing to ask for, for what is near
        var row = 0;
        for (; row <= rows - 4; row += 4, ahead += x.Groups * perGroup)
            FourRows(w + row * x.Length, x.Length, wScales + row * x.Groups, x.Groups, x, output + row * Tile, ahead, perGroup);
        // Fewer, which is rare, are computed as four times the same.
        var same = stackalloc float[4 * Tile];
        for (; row < rows; row++)
        {
            FourRows(w + row * x.Length, 0, wScales + row * x.Groups, 0, x, same, w, 0);
            Buffer.MemoryCopy(same, output + row * Tile, Tile * sizeof(float), Tile * sizeof(float));
        }
    }

    /// <summary>Four rows by two registers of tokens: eight sums of a group and eight of all groups before it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)] // too large to be inlined: it would start as unoptimised code
    private static void FourRows(byte* w, nint stride, float* wScales, nint scaleStride, Int8Tile x, float* output, byte* ahead, nint perGroup)
    {
        var (a0, a1, b0, b1) = (Floats.Zero, Floats.Zero, Floats.Zero, Floats.Zero);
        var (c0, c1, d0, d1) = (Floats.Zero, Floats.Zero, Floats.Zero, Floats.Zero);
        var xi = x.Values;
        var xScales = x.Scales;
        var sums = x.Sums;
        for (var group = 0; group < x.Groups; group++, xScales += Tile, sums += Tile, wScales++, ahead += perGroup)
        {
            Prefetching.TwoFarLines(ahead);
            var (i0, i1) = (Vector512.Load(sums) * -Int4Groups.Offset, Vector512.Load(sums + Ints.Count) * -Int4Groups.Offset);
            var (j0, j1, k0, k1, l0, l1) = (i0, i1, i0, i1, i0, i1);
            for (var rest = x.GroupSize; rest > 0; rest -= Run)
            {
                var (p0, p1, q0, q1) = (Shorts.Zero, Shorts.Zero, Shorts.Zero, Shorts.Zero);
                var (r0, r1, s0, s1) = (Shorts.Zero, Shorts.Zero, Shorts.Zero, Shorts.Zero);
                for (var end = w + Math.Min(Run, rest); w < end; w += 4, xi += 4 * Tile)
                {
                    var (x0, x1) = (Vector512.Load(xi), Vector512.Load(xi + Vector512<sbyte>.Count));
                    var four = FourWeights(w);
                    p0 += Avx512BW.MultiplyAddAdjacent(four, x0);
                    p1 += Avx512BW.MultiplyAddAdjacent(four, x1);
                    four = FourWeights(w + stride);
                    q0 += Avx512BW.MultiplyAddAdjacent(four, x0);
                    q1 += Avx512BW.MultiplyAddAdjacent(four, x1);
                    four = FourWeights(w + 2 * stride);
                    r0 += Avx512BW.MultiplyAddAdjacent(four, x0);
                    r1 += Avx512BW.MultiplyAddAdjacent(four, x1);
                    four = FourWeights(w + 3 * stride);
                    s0 += Avx512BW.MultiplyAddAdjacent(four, x0);
                    s1 += Avx512BW.MultiplyAddAdjacent(four, x1);
                }
                (i0, i1, j0, j1) = (i0 + Widen(p0), i1 + Widen(p1), j0 + Widen(q0), j1 + Widen(q1));
                (k0, k1, l0, l1) = (k0 + Widen(r0), k1 + Widen(r1), l0 + Widen(s0), l1 + Widen(s1));
            }
            var (t0, t1) = (Vector512.Load(xScales), Vector512.Load(xScales + Floats.Count));
            var scale = Vector512.Create(*wScales);
            (a0, a1) = (Scaled(i0, scale * t0, a0), Scaled(i1, scale * t1, a1));
            scale = Vector512.Create(wScales[scaleStride]);
            (b0, b1) = (Scaled(j0, scale * t0, b0), Scaled(j1, scale * t1, b1));
            scale = Vector512.Create(wScales[2 * scaleStride]);
            (c0, c1) = (Scaled(k0, scale * t0, c0), Scaled(k1, scale * t1, c1));
            scale = Vector512.Create(wScales[3 * scaleStride]);
            (d0, d1) = (Scaled(l0, scale * t0, d0), Scaled(l1, scale * t1, d1));
        }
        StoreTwo(a0, a1, output);
        StoreTwo(b0, b1, output + Tile);
        StoreTwo(c0, c1, output + 2 * Tile);
        StoreTwo(d0, d1, output + 3 * Tile);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> FourWeights(byte* w) => Vector512.Create(Unsafe.ReadUnaligned<int>(w)).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Widen(Shorts pairs) => Avx512BW.MultiplyAddAdjacent(pairs, Shorts.One);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats Scaled(Ints dot, Floats scale, Floats sum) => Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(dot), scale, sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreTwo(Floats first, Floats second, float* to)
    {
        first.Store(to);
        second.Store(to + Floats.Count);
    }
}
