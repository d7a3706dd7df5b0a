using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using LlamaFullstack.Core.Quantization;
using Floats = System.Runtime.Intrinsics.Vector512<float>;
using Ints = System.Runtime.Intrinsics.Vector512<int>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>The integer kernels where AVX-512 does better: it has twice the products, though .NET 10 has none of its int8 dot products.</summary>
/// <typeparam name="TProducts">How this processor multiplies bytes.</typeparam>
/// <typeparam name="THints">What suits its memory system.</typeparam>
/// <param name="narrow">The set for groups that are not whole registers.</param>
internal unsafe class IntegerKernels512<TProducts, THints>(IntegerKernels narrow) : IntegerKernels256<TProducts>(narrow)
    where TProducts : struct, IByteProducts
    where THints : struct, IHints
{
    public override void MatVecInt8(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        var fours = rows / 4 * 4;
        if (Int8Rows512<GroupsOf32, THints>.Takes(x))
            Int8Rows512<GroupsOf32, THints>.MatVec(w, wScales, x, output, fours);
        else if (Int8Rows512<GroupsOf64, THints>.Takes(x))
            Int8Rows512<GroupsOf64, THints>.MatVec(w, wScales, x, output, fours);
        else
            fours = 0;
        base.MatVecInt8(w + (long)fours * x.Length, wScales + (long)fours * x.Groups, x, output + fours, rows - fours);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Quantize(float* x, Int8Vector q)
    {
        if (q.GroupSize % (2 * Ints.Count) != 0)
        {
            base.Quantize(x, q);
            return;
        }
        var limit = Vector512.Create((int)Int8Groups.MaxMagnitude);
        for (var group = 0; group < q.Groups; group++)
        {
            var from = x + group * q.GroupSize;
            var to = q.Values + group * q.GroupSize;
            // As whole numbers, magnitudes have the same order, with infinity and then NaN above all others.
            var greatest = Ints.Zero;
            for (var i = 0; i < q.GroupSize; i += Ints.Count)
                greatest = Vector512.Max(greatest, Vector512.Load(from + i).AsInt32() & Vector512.Create(int.MaxValue));

            var scale = q.Scales[group] = BitConverter.Int32BitsToSingle(MaxLane(Vector256.Max(greatest.GetLower(), greatest.GetUpper()))) / Int8Groups.MaxMagnitude;
            var sum = Ints.Zero;
            var scales = Vector512.Create(scale);
            var sound = Sound(scales).AsInt32();
            for (var i = 0; i < q.GroupSize; i += Ints.Count)
            {
                var rounded = Vector512.Max(Vector512.Min(Rounded(from + i, scales), limit), -limit) & sound;
                Avx512F.ConvertToVector128SByte(rounded).Store(to + i);
                sum += rounded;
            }
            q.Sums[group] = Vector512.Sum(sum);
        }
    }

    public override void QuantizeForInt4(float* x, Int8Vector q)
    {
        if (!Int4Rows512<THints>.Takes(q))
        {
            base.QuantizeForInt4(x, q);
            return;
        }
        Quantize(x, q);
        Int4Rows512<THints>.Arrange(q);
    }

    public override void MatVecInt4(byte* w, Half* wScales, Int8Vector x, float* output, int rows)
    {
        if (Int4Rows512<THints>.Takes(x))
            Int4Rows512<THints>.MatVec(w, wScales, x, output, rows);
        else
            base.MatVecInt4(w, wScales, x, output, rows);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void QuantizeTile(float* x, Int8Tile q)
    {
        var values = (int*)q.Values;
        for (var group = 0; group < q.Groups; group++, x += q.GroupSize * Tile, values += q.GroupSize / 4 * Tile)
            for (var lane = 0; lane < Tile; lane += Floats.Count)
                QuantizeGroup(x + lane, values + lane, q.GroupSize, q.Scales + group * Tile + lane, q.Sums + group * Tile + lane);
    }

    public override void MatMulInt8(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next)
    {
        // Scaling in 512 bits between products in 256: 1.05 times as fast in groups of 32, where there is much of it, and half as fast in groups of 64 on Intel (docs/LOG.md).
        if (x.GroupSize <= 32)
            TileProducts256<ByteTiles<TProducts>, TileSums512>.MatMul(w, wScales, x, output, rows, next);
        else
            base.MatMulInt8(w, wScales, x, output, rows, next);
    }

    public override void MatMulInt4(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next) =>
        TileProducts512.MatMulInt4(w, wScales, x, output, rows, next);

    /// <summary>A group of sixteen tokens' features.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void QuantizeGroup(float* x, int* values, int n, float* toScales, int* toSums)
    {
        // As whole numbers, magnitudes have the same order, with infinity and then NaN above all others.
        var greatest = Ints.Zero;
        for (var i = 0; i < n; i++)
            greatest = Vector512.Max(greatest, Vector512.Load(x + i * Tile).AsInt32() & Vector512.Create(int.MaxValue));

        var scales = greatest.AsSingle() / Vector512.Create(Int8Groups.MaxMagnitude);
        scales.Store(toScales);
        var sound = Sound(scales).AsSByte();
        // Four features' tokens, as packing leaves them in a quarter of the register, to four features of each token.
        var order = Vector512.Create(Vector256.Create(Vector128.Create((sbyte)0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)));
        var sum = Ints.Zero;
        for (var i = 0; i < n; i += 4, values += Tile, x += 4 * Tile)
        {
            var low = Avx512BW.PackSignedSaturate(Rounded(x, scales), Rounded(x + Tile, scales));
            var high = Avx512BW.PackSignedSaturate(Rounded(x + 2 * Tile, scales), Rounded(x + 3 * Tile, scales));
            var packed = Avx512BW.Shuffle(Avx512BW.PackSignedSaturate(low, high), order);
            packed = Vector512.Max(packed, Vector512.Create((sbyte)-Int8Groups.MaxMagnitude)) & sound;
            packed.AsInt32().Store(values);
            sum += Avx512BW.MultiplyAddAdjacent(Avx512BW.MultiplyAddAdjacent(Vector512.Create((byte)1), packed), Vector512<short>.One);
        }
        sum.Store(toSums);
    }

    // Where the scale is 0, infinite or NaN, so is the quotient not a number, and its value 0.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats Sound(Floats scales) => Vector512.GreaterThan(scales, Floats.Zero) & Vector512.LessThan(scales, Vector512.Create(float.PositiveInfinity));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ints Rounded(float* x, Floats scales)
    {
        // 0.49999997 is the number before 0.5: adding it carries x.5 over, and nothing that is below.
        var quotient = Vector512.Load(x) / scales;
        return Avx512F.ConvertToVector512Int32WithTruncation(quotient + Vector512.CopySign(Vector512.Create(0.49999997f), quotient));
    }
}
