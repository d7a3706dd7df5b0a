using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference.Tests;

/// <summary>The int8 kernels: every set gives the scalar one's bits, and that gives runq.c's.</summary>
public sealed unsafe class Int8KernelTests
{
    private static readonly KernelSet Scalar = KernelSets.Select("scalar");

    public static TheoryData<string> Sets => [.. KernelSets.Supported.Select(set => set.Name)];

    [Theory, MemberData(nameof(Sets))]
    public void MatVecInt8_AnyGroups_GivesTheSameBits(string set)
    {
        foreach (var groupSize in new[] { 1, 4, 8, 16, 32, 64, 96, 128 })
        {
            for (var groups = 1; groups <= 9; groups++)
            {
                const int Rows = 3;
                var n = groups * groupSize;
                var random = new Random(n);
                var x = Quantized.Random(n, groupSize, random);
                var w = PinnedArray.Of(Rows * n, _ => (sbyte)random.Next(-128, 128));
                var scales = PinnedArray.Of(Rows * groups, _ => random.NextSingle());
                var (expected, actual) = (PinnedArray.Of<float>(Rows), PinnedArray.Of<float>(Rows));
                Scalar.MatVecInt8(w.Pointer(), scales.Pointer(), x.Vector, expected.Pointer(), Rows);
                KernelSets.Select(set).MatVecInt8(w.Pointer(), scales.Pointer(), x.Vector, actual.Pointer(), Rows);
                Assert.Equal(expected, actual);
            }
        }
    }

    [Theory, MemberData(nameof(Sets))]
    public void MatVecInt8_ExtremeValuesUnaligned_IsExact(string set)
    {
        // The largest products of both signs, at an address and with scales that are not multiples of anything.
        const int N = 64;
        var w = PinnedArray.Of(N + 1, i => i % 2 == 0 ? (sbyte)-128 : (sbyte)127);
        var x = new Quantized(N, N);
        for (var i = 0; i < N; i++)
            x.Values[i] = i % 3 == 0 ? (sbyte)-127 : (sbyte)127;
        x.Sums[0] = x.Values.Sum(v => v);
        x.Scales[0] = 1f;
        var bytes = PinnedArray.Of<byte>(5);
        BitConverter.TryWriteBytes(bytes.AsSpan(1), 1f);
        var output = PinnedArray.Of<float>(1);

        KernelSets.Select(set).MatVecInt8(w.Pointer() + 1, (float*)(bytes.Pointer() + 1), x.Vector, output.Pointer(), rows: 1);

        Assert.Equal(Enumerable.Range(0, N).Sum(i => w[i + 1] * x.Values[i]), output[0]);
    }

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
        foreach (var set in KernelSets.Supported)
        {
            var q = AssertSameAsScalar(set.Name, groupSize: 32, PinnedArray.Of(64, i => i == 5 ? strange : 0f));
            Assert.Equal(0f, q.Scales[1]);
            Assert.All(q.Values[32..], value => Assert.Equal(0, value));
            Assert.Equal(float.IsNaN(strange), float.IsNaN(q.Scales[0])); // NaN goes on to the logits, where it is reported
        }
    }

    private static Quantized AssertSameAsScalar(string set, int groupSize, float[] x)
    {
        var (expected, actual) = (new Quantized(x.Length, groupSize), new Quantized(x.Length, groupSize));
        Scalar.Quantize(x.Pointer(), expected.Vector);
        KernelSets.Select(set).Quantize(x.Pointer(), actual.Vector);
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
