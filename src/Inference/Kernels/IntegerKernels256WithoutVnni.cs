using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using LlamaFullstack.Core.Quantization;
using Floats = System.Runtime.Intrinsics.Vector256<float>;
using Ints = System.Runtime.Intrinsics.Vector256<int>;
using Shorts = System.Runtime.Intrinsics.Vector256<short>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>AVX2 alone, as most PCs have it: AMD's before Zen 4 and Intel's that have neither AVX-512 nor AVX-VNNI.</summary>
/// <param name="narrow">The set for groups that are not whole registers.</param>
internal sealed unsafe class IntegerKernels256WithoutVnni(IntegerKernels narrow) : IntegerKernels256<Avx2Products>(narrow)
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void QuantizeTile(float* x, Int8Tile q)
    {
        // Two features' tokens, as packing leaves them in half of the register, to two features of each token.
        var order = Vector256.Create(Vector128.Create((byte)0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
        var limit = Vector256.Create((short)Int8Groups.MaxMagnitude);
        var values = (int*)q.Values;
        for (var group = 0; group < q.Groups; group++, x += q.GroupSize * Tile, values += q.GroupSize / 2 * Tile)
        {
            for (var lane = 0; lane < Tile; lane += Floats.Count)
            {
                var (scales, sound) = TileScales(x + lane, q.GroupSize);
                scales.Store(q.Scales + group * Tile + lane);
                var sum = Ints.Zero;
                for (var i = 0; i < q.GroupSize; i += 2)
                {
                    var from = x + i * Tile + lane;
                    var pairs = Avx2.Shuffle(Avx2.PackSignedSaturate(Whole(from, scales), Whole(from + Tile, scales)).AsByte(), order).AsInt16();
                    pairs = Vector256.Max(Vector256.Min(pairs, limit), -limit) & sound.AsInt16();
                    pairs.AsInt32().Store(values + i / 2 * Tile + lane);
                    sum += Avx2.MultiplyAddAdjacent(pairs, Shorts.One);
                }
                sum.Store(q.Sums + group * Tile + lane);
            }
        }
    }

    public override void QuantizeTileForInt4(float* x, Int8Tile q) => base.QuantizeTile(x, q);

    public override void MatVecInt8(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        var fours = x.GroupSize is 32 or 64 ? rows / 4 * 4 : 0;
        if (x.GroupSize == 32)
            Int8Rows256WithoutVnni<GroupsOf32>.MatVec(w, wScales, x, output, fours);
        else if (x.GroupSize == 64)
            Int8Rows256WithoutVnni<GroupsOf64>.MatVec(w, wScales, x, output, fours);
        if (fours < rows)
            base.MatVecInt8(w + (long)fours * x.Length, wScales + (long)fours * x.Groups, x, output + fours, rows - fours);
    }

    public override void MatVecInt4(byte* w, Half* wScales, Int8Vector x, float* output, int rows)
    {
        if (Int4Rows256.Takes(x))
            Int4Rows256.MatVec(w, wScales, x, output, rows);
        else
            base.MatVecInt4(w, wScales, x, output, rows);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void ArrangeInt8(sbyte* w, byte* to, int n)
    {
        var words = (short*)to;
        var i = 0;
        for (; i <= n - Shorts.Count; i += Shorts.Count)
            Avx2.ConvertToVector256Int16(w + i).Store(words + i);
        for (; i < n; i++)
            words[i] = w[i];
    }

    public override void MatMulInt8(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next) =>
        TileProducts256<WordTiles, TileSums256>.MatMul(w, wScales, x, output, rows, next);

    public override void MatMulInt4(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next)
    {
        if (x.GroupSize <= NarrowCodeTiles.LargestGroup)
            TileProducts256<NarrowCodeTiles, TileSums256>.MatMul(w, wScales, x, output, rows, next);
        else
            base.MatMulInt4(w, wScales, x, output, rows, next);
    }
}
