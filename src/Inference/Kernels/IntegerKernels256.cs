using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using LlamaFullstack.Core.Quantization;
using Floats = System.Runtime.Intrinsics.Vector256<float>;
using Ints = System.Runtime.Intrinsics.Vector256<int>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>The integer kernels in registers of 32 bytes, by products of bytes: AVX-VNNI. AVX2 alone has <see cref="IntegerKernels256WithoutVnni"/>.</summary>
/// <typeparam name="TProducts">How this processor multiplies bytes.</typeparam>
/// <param name="narrow">The set for groups that are not whole registers.</param>
internal unsafe class IntegerKernels256<TProducts>(IntegerKernels narrow) : IntegerKernels
    where TProducts : struct, IByteProducts
{
    private const int Bytes = 32;

    // Rows and groups that NarrowRows256 takes at once.
    private const int NarrowStep = 8;

    // MatVecInt4 takes two groups of this size from one register.
    private const int Int4Group = 32;

    // Sums of quantised values are taken in float32, exact to 2^24: 127 · 65,536 is below.
    private const int LargestGroup = 1 << 16;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Quantize(float* x, Int8Vector q)
    {
        if (q.GroupSize == 4 && q.Groups >= NarrowStep)
        {
            QuantizeFours(x, q);
            return;
        }
        if (q.GroupSize % Floats.Count != 0 || q.GroupSize > LargestGroup)
        {
            narrow.Quantize(x, q);
            return;
        }
        for (var group = 0; group < q.Groups; group++)
        {
            var from = x + group * q.GroupSize;
            var to = q.Values + group * q.GroupSize;
            // As whole numbers, magnitudes have the same order, with infinity and then NaN above all others.
            var greatest = Ints.Zero;
            for (var i = 0; i < q.GroupSize; i += Ints.Count)
                greatest = Vector256.Max(greatest, Vector256.Load(from + i).AsInt32() & Vector256.Create(int.MaxValue));

            var scale = q.Scales[group] = BitConverter.Int32BitsToSingle(MaxLane(greatest)) / Int8Groups.MaxMagnitude;
            var scales = Vector256.Create(scale);
            var sum = Floats.Zero;
            for (var i = 0; i < q.GroupSize; i += Floats.Count)
            {
                var rounded = Rounded(from + i, scales);
                Lanes256.StoreInt8(rounded, to + i);
                sum += rounded;
            }
            q.Sums[group] = (int)Lanes256.Sum(sum);
        }
    }

    /// <summary>The greatest of eight.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected static int MaxLane(Ints v)
    {
        var half = Vector128.Max(v.GetLower(), v.GetUpper());
        half = Vector128.Max(half, Vector128.Shuffle(half, Vector128.Create(2, 3, 0, 1)));
        return Vector128.Max(half, Vector128.Shuffle(half, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }

    /// <summary><see cref="Quantize"/> for at least eight groups of 4. The last eight may overlap those before, and then give the same numbers again.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void QuantizeFours(float* x, in Int8Vector q)
    {
        for (var group = 0; group < q.Groups; group += NarrowStep)
        {
            var at = Math.Min(group, q.Groups - NarrowStep);
            var to = q.Values + 4 * at;
            for (var pair = 0; pair < NarrowStep; pair += 2)
            {
                var from = x + 4 * (at + pair);
                var max = Vector256.Abs(Vector256.Load(from));
                max = Vector256.Max(max, Avx.Permute(max, 0b10_11_00_01));
                max = Vector256.Max(max, Avx.Permute(max, 0b01_00_11_10));
                var scales = max / Int8Groups.MaxMagnitude;
                q.Scales[at + pair] = scales[0];
                q.Scales[at + pair + 1] = scales[4];
                Lanes256.StoreInt8(Rounded(from, scales), to + 4 * pair);
            }
            TProducts.MultiplyAddCodes(Ints.Zero, Vector256<byte>.One, Vector256.Load(to)).Store(q.Sums + at);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void QuantizeForInt4(float* x, Int8Vector q)
    {
        Quantize(x, q);
        if (q.GroupSize != Int4Group)
            return;
        // A register of codes holds the first halves of two groups in its low nibbles and the second halves in its high ones.
        for (var pair = q.Values; pair < q.Values + q.Length / (2 * Int4Group) * 2 * Int4Group; pair += 2 * Int4Group)
        {
            var (a, b) = (Vector128.Load(pair + 16), Vector128.Load(pair + 32));
            b.Store(pair + 16);
            a.Store(pair + 32);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void QuantizeTile(float* x, Int8Tile q)
    {
        // Four features' tokens, as packing leaves them in half of the register, to four features of each token.
        var order = Vector256.Create(Vector128.Create((sbyte)0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
        var values = (int*)q.Values;
        for (var group = 0; group < q.Groups; group++, x += q.GroupSize * Tile, values += q.GroupSize / 4 * Tile)
        {
            for (var lane = 0; lane < Tile; lane += Floats.Count)
            {
                var (scales, sound) = TileScales(x + lane, q.GroupSize);
                scales.Store(q.Scales + group * Tile + lane);
                var sum = Ints.Zero;
                for (var i = 0; i < q.GroupSize; i += 4)
                {
                    var from = x + i * Tile + lane;
                    var low = Avx2.PackSignedSaturate(Whole(from, scales), Whole(from + Tile, scales));
                    var high = Avx2.PackSignedSaturate(Whole(from + 2 * Tile, scales), Whole(from + 3 * Tile, scales));
                    var fours = Avx2.Shuffle(Avx2.PackSignedSaturate(low, high), order);
                    fours = Vector256.Max(fours, Vector256.Create((sbyte)-Int8Groups.MaxMagnitude)) & sound.AsSByte();
                    fours.AsInt32().Store(values + i / 4 * Tile + lane);
                    sum += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(Vector256<byte>.One, fours), Vector256<short>.One);
                }
                sum.Store(q.Sums + group * Tile + lane);
            }
        }
    }

    /// <summary>Eight tokens' scales of a group, and all bits set where one can be divided by.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected static (Floats Scales, Floats Sound) TileScales(float* x, int n)
    {
        // As whole numbers, magnitudes have the same order, with infinity and then NaN above all others.
        var greatest = Ints.Zero;
        for (var i = 0; i < n; i++)
            greatest = Vector256.Max(greatest, Vector256.Load(x + i * Tile).AsInt32() & Vector256.Create(int.MaxValue));
        var scales = greatest.AsSingle() / Int8Groups.MaxMagnitude;
        return (scales, Sound(scales));
    }

    /// <summary>x / scale, rounded half away from zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected static Ints Whole(float* x, Floats scales) => Avx.ConvertToVector256Int32WithTruncation(Lanes256.AwayFromZero(Vector256.Load(x) / scales));

    public override void MatVecInt8(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        if (IsNarrow(x) && rows >= NarrowStep)
        {
            switch (x.GroupSize)
            {
                case 4:
                    NarrowRows256<TProducts, GroupsOf4>.MatVecInt8(w, wScales, x, output, rows);
                    break;
                case 8:
                    NarrowRows256<TProducts, GroupsOf8>.MatVecInt8(w, wScales, x, output, rows);
                    break;
                default:
                    NarrowRows256<TProducts, GroupsOf16>.MatVecInt8(w, wScales, x, output, rows);
                    break;
            }
            return;
        }
        if (x.GroupSize % Bytes != 0)
        {
            narrow.MatVecInt8(w, wScales, x, output, rows);
            return;
        }
        switch (x.GroupSize)
        {
            case 32:
                MatVecInt8<GroupsOf32>(w, wScales, x, output, rows);
                break;
            case 64:
                MatVecInt8<GroupsOf64>(w, wScales, x, output, rows);
                break;
            default:
                MatVecInt8<GroupsOfAnySize>(w, wScales, x, output, rows);
                break;
        }
    }

    private static void MatVecInt8<TSize>(sbyte* w, float* wScales, in Int8Vector x, float* output, int rows) where TSize : struct, IGroupSize
    {
        var fours = rows / 4 * 4;
        Int8Rows256<TProducts, TSize>.InFours(w, wScales, x, output, fours);
        Int8Rows256<TProducts, TSize>.OneByOne(w + (long)fours * x.Length, wScales + (long)fours * x.Groups, x, output + fours, rows - fours);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void MatVecInt4(byte* w, Half* wScales, Int8Vector x, float* output, int rows)
    {
        if (IsNarrow(x))
        {
            switch (x.GroupSize)
            {
                case 4:
                    NarrowRows256<TProducts, GroupsOf4>.MatVecInt4(w, wScales, x, output, rows);
                    break;
                case 8:
                    NarrowRows256<TProducts, GroupsOf8>.MatVecInt4(w, wScales, x, output, rows);
                    break;
                default:
                    NarrowRows256<TProducts, GroupsOf16>.MatVecInt4(w, wScales, x, output, rows);
                    break;
            }
            return;
        }
        if (x.GroupSize != Int4Group)
        {
            narrow.MatVecInt4(w, wScales, x, output, rows);
            return;
        }
        for (var row = 0; row < rows; row++, w += x.Length / 2, wScales += x.Groups)
            output[row] = DotInt4(w, wScales, x);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void ArrangeInt8(sbyte* w, byte* to, int n)
    {
        var i = 0;
        for (; i <= n - Bytes; i += Bytes)
            TProducts.Weights(Vector256.Load(w + i)).Store(to + i);
        for (; i < n; i++)
            to[i] = (byte)(w[i] + TProducts.Bias);
    }

    public override void MatMulInt8(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next) =>
        TileProducts256<ByteTiles<TProducts>, TileSums256>.MatMul(w, wScales, x, output, rows, next);

    public override void MatMulInt4(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next) =>
        TileProducts256<CodeTiles<TProducts>, TileSums256>.MatMul(w, wScales, x, output, rows, next);

    public override void UnpackInt4(byte* codes, byte* to, int n, int groupSize)
    {
        var done = groupSize switch
        {
            4 => NarrowRows256<TProducts, GroupsOf4>.UnpackInt4(codes, to, n),
            8 => NarrowRows256<TProducts, GroupsOf8>.UnpackInt4(codes, to, n),
            16 => NarrowRows256<TProducts, GroupsOf16>.UnpackInt4(codes, to, n),
            _ => 0,
        };
        narrow.UnpackInt4(codes + done / 2, to + done, n - done, groupSize);
    }

    /// <summary>Whether groups are for <see cref="NarrowRows256{TProducts, TSize}"/>.</summary>
    private static bool IsNarrow(in Int8Vector x) => x.GroupSize is 4 or 8 or 16 && x.Groups >= NarrowStep;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats Rounded(float* x, Floats scales)
    {
        var limit = Vector256.Create(Int8Groups.MaxMagnitude);
        var quotient = Lanes256.Round(Vector256.Load(x) / scales);
        return Vector256.MaxNative(Vector256.MinNative(quotient, limit), -limit) & Sound(scales);
    }

    // Where the scale is 0, infinite or NaN, so is the quotient not a number, and its value 0.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats Sound(Floats scales) => Vector256.GreaterThan(scales, Floats.Zero) & Vector256.LessThan(scales, Vector256.Create(float.PositiveInfinity));

    /// <summary>One row of <see cref="MatVecInt4"/>: eight groups at a time, two a register.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float DotInt4(byte* w, Half* wScales, Int8Vector x)
    {
        var xi = x.Values;
        var (a, b) = (Floats.Zero, Floats.Zero);
        var biased = Floats.Zero;
        var group = 0;
        for (; group <= x.Groups - 8; group += 8, w += 128, xi += 256)
        {
            Prefetching.Line(w + Prefetching.Distance);
            Prefetching.Line(w + 64 + Prefetching.Distance);
            Prefetching.Line((byte*)(wScales + group) + Prefetching.Distance / 8);
            var scales = Lanes256.ToSingle(wScales + group) * Vector256.Load(x.Scales + group);
            biased += scales * Vector256.ConvertToSingle(Vector256.Load(x.Sums + group));
            a = Fma.MultiplyAdd(TwoGroups(w, xi), Avx2.PermuteVar8x32(scales, Vector256.Create(0, 0, 0, 0, 1, 1, 1, 1)), a);
            b = Fma.MultiplyAdd(TwoGroups(w + 32, xi + 64), Avx2.PermuteVar8x32(scales, Vector256.Create(2, 2, 2, 2, 3, 3, 3, 3)), b);
            a = Fma.MultiplyAdd(TwoGroups(w + 64, xi + 128), Avx2.PermuteVar8x32(scales, Vector256.Create(4, 4, 4, 4, 5, 5, 5, 5)), a);
            b = Fma.MultiplyAdd(TwoGroups(w + 96, xi + 192), Avx2.PermuteVar8x32(scales, Vector256.Create(6, 6, 6, 6, 7, 7, 7, 7)), b);
        }
        var bias = Lanes256.Sum(biased);
        for (; group <= x.Groups - 2; group += 2, w += 32, xi += 64)
        {
            var (first, second) = ((float)wScales[group] * x.Scales[group], (float)wScales[group + 1] * x.Scales[group + 1]);
            a = Fma.MultiplyAdd(TwoGroups(w, xi), Vector256.Create(Vector128.Create(first), Vector128.Create(second)), a);
            bias += first * x.Sums[group] + second * x.Sums[group + 1];
        }
        if (group < x.Groups)
        {
            // One group is left: its two halves take the places of two groups.
            var last = (float)wScales[group] * x.Scales[group];
            var codes = Vector128.Load(w);
            var halves = Vector256.Create(codes, codes >>> 4) & Vector256.Create((byte)0x0f);
            b = Fma.MultiplyAdd(Vector256.ConvertToSingle(TProducts.MultiplyAddCodes(Ints.Zero, halves, Vector256.Load(xi))), Vector256.Create(last), b);
            bias += last * x.Sums[group];
        }
        return Lanes256.Sum(a + b) - Int4Groups.Offset * bias;
    }

    /// <summary>Partial sums of two groups, the first in the lower half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats TwoGroups(byte* w, sbyte* x)
    {
        var nibble = Vector256.Create((byte)0x0f);
        var codes = Vector256.Load(w);
        var sum = TProducts.MultiplyAddCodes(Ints.Zero, codes & nibble, Vector256.Load(x));
        return Vector256.ConvertToSingle(TProducts.MultiplyAddCodes(sum, (codes.AsUInt16() >>> 4).AsByte() & nibble, Vector256.Load(x + Bytes)));
    }
}
