using System.Runtime.Intrinsics.X86;
using LlamaFullstack.Core.Quantization;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference.Tests;

/// <summary>The integer kernels of every set, and of the products that this processor would not choose, against the scalar ones and float64.</summary>
public sealed unsafe class Int8KernelTests
{
    private static int Tile => KernelSet.Tile;
    private const double Epsilon = 1.0 / (1 << 24);

    private static readonly IntegerKernels Scalar = KernelSets.Select("scalar").Integer;

    public static TheoryData<string> Sets
    {
        get
        {
            TheoryData<string> names = [.. KernelSets.Supported.Select(set => set.Name)];
            if (Avx2.IsSupported)
                names.AddRange("avx2", "bytes"); // without AVX-VNNI, and with it as far as it can be had here: what its kernels do with AVX2's products
            if (Avx512BW.IsSupported && Avx512DQ.IsSupported)
                names.AddRange("avx512", "zen4");
            return names;
        }
    }

    [Theory, MemberData(nameof(Sets))]
    public void MatVecInt8_AnyGroups_GivesTheSameBits(string set)
    {
        foreach (var groupSize in new[] { 1, 4, 8, 12, 16, 20, 28, 32, 64, 96, 128, 160 })
        {
            foreach (var groups in new[] { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 19, 43 })
            {
                const int Rows = 11; // eight together or twice four, and three that are left over
                var n = groups * groupSize;
                var random = new Random(n);
                var x = Quantized.Random(n, groupSize, random);
                var w = PinnedArray.Of(Rows * n, _ => (sbyte)random.Next(-128, 128));
                var scales = PinnedArray.Of(Rows * groups, _ => random.NextSingle());
                var (expected, actual) = (PinnedArray.Of<float>(Rows), PinnedArray.Of<float>(Rows));
                Scalar.MatVecInt8(w.Pointer(), scales.Pointer(), x.Vector, expected.Pointer(), Rows);
                Of(set).MatVecInt8(w.Pointer(), scales.Pointer(), x.Vector, actual.Pointer(), Rows);
                Assert.Equal(expected, actual);
            }
        }
    }

    [Theory, MemberData(nameof(Sets))]
    public void MatVecInt8_ExtremeValuesUnaligned_IsExact(string set)
    {
        // The largest products of both signs, at an address and with scales that are not multiples of anything; four rows together and one alone.
        const int Rows = 5, GroupSize = 64, Groups = 4, N = Groups * GroupSize;
        var w = PinnedArray.Of(Rows * N + 1, i => i % 2 == 0 ? (sbyte)-128 : (sbyte)127);
        var x = new Quantized(N, GroupSize);
        for (var i = 0; i < N; i++)
            x.Values[i] = i % 3 == 0 ? (sbyte)-127 : (sbyte)127;
        for (var group = 0; group < Groups; group++)
        {
            x.Sums[group] = x.Values.Skip(group * GroupSize).Take(GroupSize).Sum(v => v);
            x.Scales[group] = 1f;
        }
        var bytes = PinnedArray.Of<byte>(Rows * Groups * sizeof(float) + 1);
        for (var i = 0; i < Rows * Groups; i++)
            BitConverter.TryWriteBytes(bytes.AsSpan(1 + i * sizeof(float)), 1f);
        var output = PinnedArray.Of<float>(Rows);

        Of(set).MatVecInt8(w.Pointer() + 1, (float*)(bytes.Pointer() + 1), x.Vector, output.Pointer(), Rows);

        for (var row = 0; row < Rows; row++)
            Assert.Equal(Enumerable.Range(0, N).Sum(i => w[row * N + i + 1] * x.Values[i]), output[row]);
    }

    [Theory, MemberData(nameof(Sets))]
    public void MatVecInt4_AnyGroups_IsWithinItsSummationBound(string set) => ForEachShape((groupSize, groups, random) =>
    {
        if (groupSize % 2 == 0)
            AssertMatVecInt4(set, rows: 11, groupSize, groups, random); // four together, twice, and three that are left over
    });

    [Theory, MemberData(nameof(Sets))]
    public void MatVecInt4_LargestCodesAndActivations_IsExact(string set) => ForEachShape((groupSize, groups, _) =>
    {
        // All codes 15, all activations 127 or -127: an int16 must hold the sums of their products. With scales of 1 all sums are whole.
        const int Rows = 7;
        if (groupSize % 2 != 0)
            return;
        var n = groups * groupSize;
        var codes = PinnedArray.Of(Rows * n / 2, _ => byte.MaxValue);
        var scales = PinnedArray.Of(Rows * groups, _ => Half.One);
        foreach (var value in new[] { 127f, -127f })
        {
            var values = PinnedArray.Of(n, _ => value);
            var (x, natural) = (new Quantized(n, groupSize), new Quantized(n, groupSize));
            Of(set).QuantizeForInt4(values.Pointer(), x.Vector);
            Scalar.QuantizeForInt4(values.Pointer(), natural.Vector);
            var (expected, actual) = (PinnedArray.Of<float>(Rows), PinnedArray.Of<float>(Rows));
            Scalar.MatVecInt4(codes.Pointer(), scales.Pointer(), natural.Vector, expected.Pointer(), Rows);
            Of(set).MatVecInt4(codes.Pointer(), scales.Pointer(), x.Vector, actual.Pointer(), Rows);
            Assert.All(expected, sum => Assert.Equal(7 * value * n, sum));
            Assert.Equal(expected, actual);
        }
    });

    [Theory, MemberData(nameof(Sets))]
    public void MatVecInt8_RowsAboutTheLongestOnTheStack_GivesTheSameBits(string set)
    {
        foreach (var groupSize in new[] { 32, 64 })
        {
            foreach (var n in new[] { 1 << 15, (1 << 15) + groupSize })
            {
                const int Rows = 5;
                var random = new Random(n);
                var x = Quantized.Random(n, groupSize, random);
                var w = PinnedArray.Of(Rows * n, _ => (sbyte)random.Next(-128, 128));
                var scales = PinnedArray.Of(Rows * n / groupSize, _ => random.NextSingle());
                var (expected, actual) = (PinnedArray.Of<float>(Rows), PinnedArray.Of<float>(Rows));
                Scalar.MatVecInt8(w.Pointer(), scales.Pointer(), x.Vector, expected.Pointer(), Rows);
                Of(set).MatVecInt8(w.Pointer(), scales.Pointer(), x.Vector, actual.Pointer(), Rows);
                Assert.Equal(expected, actual);
            }
        }
    }

    [Theory, MemberData(nameof(Sets))]
    public void MatVecInt4_RowsAboutTheLongestOnTheStack_IsWithinItsSummationBound(string set)
    {
        foreach (var groups in new[] { 1 << 11, (1 << 11) + 2 })
            AssertMatVecInt4(set, rows: 5, groupSize: 32, groups, new Random(groups));
    }

    [Theory, MemberData(nameof(Sets))]
    public void UnpackInt4_AnyGroups_GivesEveryWeight(string set) => ForEachShape((groupSize, groups, random) =>
    {
        if (groupSize % 2 != 0)
            return;
        var n = groups * groupSize;
        var codes = PinnedArray.Of(n / 2, _ => (byte)random.Next(256));
        var to = PinnedArray.Of<byte>(n);
        Of(set).UnpackInt4(codes.Pointer(), to.Pointer(), n, groupSize);
        for (var i = 0; i < n; i++)
            Assert.Equal(Weight(codes, i, groupSize) + Int4Groups.Offset, to[i]);
    });

    [Theory, MemberData(nameof(Sets))]
    public void MatMulInt8_AnyGroups_IsWithinItsSummationBound(string set) => ForEachTile((x, tile, rows, scales, random) =>
    {
        var w = PinnedArray.Of(rows * tile.Length, _ => (sbyte)random.Next(-128, 128));
        var output = PinnedArray.Of<float>(rows * Tile);
        var arranged = PinnedArray.Of<byte>(sizeof(short) * w.Length);
        Of(set).ArrangeInt8(w.Pointer(), arranged.Pointer(), w.Length);
        Of(set).MatMulInt8(arranged.Pointer(), scales.Pointer(), tile, output.Pointer(), rows, default);
        for (var i = 0; i < output.Length; i++)
            AssertDot(x[i % Tile], c => w[i / Tile * tile.Length + c], group => scales[i / Tile * tile.Groups + group], bias: 128, output[i]);
    }, set, forInt4: false);

    [Theory, MemberData(nameof(Sets))]
    public void MatMulInt4_AnyGroups_IsWithinItsSummationBound(string set) => ForEachTile((x, tile, rows, scales, random) =>
    {
        // The largest codes in one row: an int16 must hold their sums.
        var w = PinnedArray.Of(rows * tile.Length, i => (byte)(i < tile.Length ? 15 : random.Next(16)));
        var output = PinnedArray.Of<float>(rows * Tile);
        Of(set).MatMulInt4(w.Pointer(), scales.Pointer(), tile, output.Pointer(), rows, default);
        for (var i = 0; i < output.Length; i++)
            AssertDot(x[i % Tile], c => w[i / Tile * tile.Length + c] - Int4Groups.Offset, group => scales[i / Tile * tile.Groups + group], bias: 8, output[i]);
    }, set, forInt4: true);

    [Theory, MemberData(nameof(Sets))]
    public void Quantize_RandomGroups_GivesTheSameBits(string set)
    {
        foreach (var groupSize in new[] { 1, 4, 8, 16, 32, 64, 80 })
        {
            var random = new Random(groupSize);
            AssertSameAsScalar(set, groupSize, PinnedArray.Of(groupSize * 9, _ => 4 * random.NextSingle() - 2));
        }
    }

    [Theory, MemberData(nameof(Sets))]
    public void Quantize_HalvesAndTheirNeighbours_RoundAwayFromZero(string set)
    {
        // A first value of 127 makes the scale 1.
        var halves = Enumerable.Range(0, 127).SelectMany(i => new[] { i + 0.5f, MathF.BitIncrement(i + 0.5f), MathF.BitDecrement(i + 0.5f) });
        var values = halves.SelectMany(v => new[] { v, -v }).ToArray();
        const int GroupSize = 64;
        var groups = values.Chunk(GroupSize - 1).Select(chunk => chunk.Prepend(127f).Concat(new float[GroupSize]).Take(GroupSize)).ToArray();
        var x = PinnedArray.Of<float>(groups.Length * GroupSize);
        groups.SelectMany(group => group).ToArray().CopyTo(x, 0);

        var q = AssertSameAsScalar(set, GroupSize, x);

        for (var i = 0; i < x.Length; i++)
            Assert.Equal(Math.Round((decimal)(double)x[i], MidpointRounding.AwayFromZero), q.Values[i]);
    }

    [Theory, MemberData(nameof(Sets))]
    public void Quantize_AnyBits_GivesTheSameBits(string set)
    {
        foreach (var groupSize in new[] { 4, 8, 32, 64, 96 })
        {
            // Groups of numbers of every size, some with an infinity or NaN somewhere, and groups of subnormal numbers, whose scale has lost digits.
            var random = new Random(groupSize);
            AssertSameAsScalar(set, groupSize, PinnedArray.Of(400 * groupSize, i =>
            {
                var value = BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue));
                return i / groupSize % 2 == 0 ? float.Epsilon * random.Next(-500, 500)
                    : float.IsFinite(value) || random.Next(groupSize) == 0 ? value : 1f;
            }));
        }
    }

    [Theory]
    [InlineData(0f)]
    [InlineData(float.Epsilon)]
    [InlineData(190 * float.Epsilon)]
    [InlineData(float.MaxValue)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    [InlineData(float.NaN)]
    public void Quantize_StrangeValues_AreTheSameInEverySet(float strange)
    {
        foreach (var set in Sets)
        {
            foreach (var groupSize in new[] { 4, 32 })
            {
                var q = AssertSameAsScalar(set.Data, groupSize, PinnedArray.Of(64, i => i == 2 ? strange : 0f));
                Assert.Equal(0f, q.Scales[1]);
                Assert.All(q.Values[groupSize..], value => Assert.Equal(0, value));
                Assert.Equal(float.IsNaN(strange), float.IsNaN(q.Scales[0])); // NaN goes on to the logits, where it is reported
            }
        }
    }

    [Theory, MemberData(nameof(Sets))]
    public void QuantizeTile_StrangeValuesAndHalves_GivesEachTokensOwnBits(string set)
    {
        foreach (var forInt4 in new[] { false, true })
            AssertTileIsEachTokensOwn(set, forInt4);
    }

    private static void AssertMatVecInt4(string set, int rows, int groupSize, int groups, Random random)
    {
        var n = groups * groupSize;
        var values = PinnedArray.Of(n, _ => random.NextSingle() - 0.5f);
        var (x, natural) = (new Quantized(n, groupSize), new Quantized(n, groupSize));
        Of(set).QuantizeForInt4(values.Pointer(), x.Vector);
        Scalar.Quantize(values.Pointer(), natural.Vector);
        var codes = PinnedArray.Of(rows * n / 2, _ => (byte)random.Next(256));
        // Scales of both signs, and of the smallest numbers that float16 has.
        var scales = PinnedArray.Of(rows * groups, i => i % 7 == 3 ? Half.Epsilon * (Half)(i + 1) : (Half)(random.NextSingle() - 0.3f));
        var output = PinnedArray.Of<float>(rows);
        Of(set).MatVecInt4(codes.Pointer(), scales.Pointer(), x.Vector, output.Pointer(), rows);
        for (var row = 0; row < rows; row++)
            AssertDot(natural, i => Weight(codes, row * n + i, groupSize), group => (float)scales[row * groups + group], bias: 8, output[row]);
    }

    private static void AssertTileIsEachTokensOwn(string set, bool forInt4)
    {
        const int GroupSize = 32;
        float[] strange = [0f, float.Epsilon, 190 * float.Epsilon, -190 * float.Epsilon, float.MaxValue, float.PositiveInfinity, float.NegativeInfinity, float.NaN];
        // A first value of 127 makes the scale 1; then come halves and their neighbours. Every third token has strange values instead.
        var values = PinnedArray.Of(3 * GroupSize * Tile, i =>
        {
            var (feature, token) = (i / Tile, i % Tile);
            var half = feature - 48 + 0.5f;
            return token % 3 == 0 ? feature % GroupSize == 5 ? strange[token / 3 % strange.Length] : 0f
                : feature % GroupSize == 0 ? 127f
                : token % 3 == 1 ? half : token % 2 == 0 ? MathF.BitIncrement(half) : MathF.BitDecrement(half);
        });
        var n = values.Length / Tile;
        var (q, scales, sums) = (PinnedArray.Of<short>(n * Tile), PinnedArray.Of<float>(3 * Tile), PinnedArray.Of<int>(3 * Tile));
        var tile = new Int8Tile((sbyte*)q.Pointer(), scales.Pointer(), sums.Pointer(), n, GroupSize);
        QuantizeTile(Of(set), forInt4, values.Pointer(), tile);
        var words = !forInt4 && Of(set) is IntegerKernels256WithoutVnni;
        for (var t = 0; t < Tile; t++)
        {
            var expected = new Quantized(n, GroupSize);
            Scalar.Quantize(PinnedArray.Of(n, i => values[i * Tile + t]).Pointer(), expected.Vector);
            Assert.Equal(expected.Values, Enumerable.Range(0, n).Select(i => words ? (sbyte)q[(i / 2 * Tile + t) * 2 + i % 2] : tile.Values[(i / 4 * Tile + t) * 4 + i % 4]));
            Assert.Equal(expected.Scales, Enumerable.Range(0, 3).Select(group => scales[group * Tile + t]));
            Assert.Equal(expected.Sums, Enumerable.Range(0, 3).Select(group => sums[group * Tile + t]));
        }
    }

    private static void QuantizeTile(IntegerKernels kernels, bool forInt4, float* x, Int8Tile tile)
    {
        if (forInt4)
            kernels.QuantizeTileForInt4(x, tile);
        else
            kernels.QuantizeTile(x, tile);
    }

    private static IntegerKernels Of(string set) =>
        set == "avx2" ? new IntegerKernels256WithoutVnni(Scalar)
        : set == "bytes" ? new IntegerKernels256<Avx2Products>(Scalar)
        : set == "avx512" ? new IntegerKernels512WithoutVnni<NearHints>(Scalar)
        : set == "zen4" ? new IntegerKernels512WithoutVnni<FarHints>(Scalar)
        : KernelSets.Select(set).Integer;

    private static void ForEachShape(Action<int, int, Random> test)
    {
        foreach (var groupSize in new[] { 1, 4, 6, 8, 16, 32, 64, 96 })
            foreach (var groups in new[] { 1, 2, 3, 6, 7, 8, 9, 19 })
                test(groupSize, groups, new Random(groups * groupSize));
    }

    /// <summary>Tiles of every shape, quantised by a set, with each token's values, the weights' rows and their scales.</summary>
    private static void ForEachTile(Action<Quantized[], Int8Tile, int, float[], Random> test, string set, bool forInt4) => ForEachShape((groupSize, groups, random) =>
    {
        if (groupSize % 4 != 0)
            return;
        var n = groups * groupSize;
        // A token of zeros, one of ones, one whose pairs of features are the largest of either sign, and random ones.
        var values = PinnedArray.Of(n * Tile, i => i % Tile == 5 ? 0f : i % Tile == 6 ? 1f : i % Tile == 7 ? 1f - i / Tile / 2 % 2 * 2 : random.NextSingle() - 0.5f);
        var (q, tileScales, sums) = (PinnedArray.Of<short>(n * Tile), PinnedArray.Of<float>(groups * Tile), PinnedArray.Of<int>(groups * Tile));
        var tile = new Int8Tile((sbyte*)q.Pointer(), tileScales.Pointer(), sums.Pointer(), n, groupSize);
        QuantizeTile(Of(set), forInt4, values.Pointer(), tile);
        var tokens = new Quantized[Tile];
        for (var t = 0; t < Tile; t++)
        {
            tokens[t] = new Quantized(n, groupSize);
            Scalar.Quantize(PinnedArray.Of(n, i => values[i * Tile + t]).Pointer(), tokens[t].Vector);
        }
        foreach (var rows in new[] { 1, 3, 6, 11, 13 }) // less than a kernel's four, six or eight, and more, but not whole times as many
            test(tokens, tile, rows, PinnedArray.Of(rows * groups, _ => random.NextSingle()), random);
    });

    private static int Weight(byte[] codes, int index, int groupSize) =>
        Int4Groups.Value(codes.Pointer() + index / groupSize * (groupSize / 2), index % groupSize, groupSize);

    /// <summary>Each group's sum is exact; it is scaled by two products and added, and so is what a set takes away that computes with w + bias.</summary>
    private static void AssertDot(Quantized x, Func<int, int> w, Func<int, float> scale, int bias, float actual)
    {
        var (exact, magnitude) = (0.0, 0.0);
        for (var group = 0; group < x.Scales.Length; group++)
        {
            var n = x.Values.Length / x.Scales.Length;
            for (var i = group * n; i < (group + 1) * n; i++)
            {
                exact += (double)w(i) * x.Values[i] * scale(group) * x.Scales[group];
                magnitude += Math.Abs((double)(Math.Abs(w(i)) + 2 * bias) * x.Values[i] * scale(group) * x.Scales[group]);
            }
        }
        // Eight lanes at the most are summed at the end: 3 more additions, besides the two products, the bias' two, and one addition a group.
        var bound = (x.Scales.Length + 8) * Epsilon * magnitude + float.Epsilon;
        Assert.True(Math.Abs(exact - actual) <= bound, $"expected {exact:R}, got {actual:R}, bound {bound:R}");
    }

    private static Quantized AssertSameAsScalar(string set, int groupSize, float[] x)
    {
        var (expected, actual) = (new Quantized(x.Length, groupSize), new Quantized(x.Length, groupSize));
        Scalar.Quantize(x.Pointer(), expected.Vector);
        Of(set).Quantize(x.Pointer(), actual.Vector);
        Assert.Equal(expected.Values, actual.Values);
        Assert.Equal(expected.Scales, actual.Scales);
        Assert.Equal(expected.Sums, actual.Sums);
        return actual;
    }

    private sealed class Quantized(int length, int groupSize)
    {
        public sbyte[] Values { get; } = PinnedArray.Of<sbyte>(length);

        public float[] Scales { get; } = PinnedArray.Of<float>(length / groupSize);

        public int[] Sums { get; } = PinnedArray.Of<int>(length / groupSize);

        public Int8Vector Vector => new(Values.Pointer(), Scales.Pointer(), Sums.Pointer(), length, groupSize);

        public static Quantized Random(int length, int groupSize, Random random)
        {
            var q = new Quantized(length, groupSize);
            Scalar.Quantize(PinnedArray.Of(length, _ => random.NextSingle() - 0.5f).Pointer(), q.Vector);
            return q;
        }
    }
}
