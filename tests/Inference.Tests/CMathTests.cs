using System.Runtime.Intrinsics;
using CsCheck;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference.Tests;

/// <summary>What is said to have C's bits, against C one number at a time.</summary>
public sealed unsafe class CMathTests
{
    // Where exp vanishes, loses digits, is 1 and overflows, and what is no number at all.
    private static readonly float[] Edges =
        [0f, -0f, float.Epsilon, -1e-30f, 1e-8f, 0.5f, 1f, -1f, -87f, -87.33655f, -87.4f, -103.97208f, -103.97209f, -104f, -104.1f, -1e4f,
        88f, 88.1f, 88.72283f, 88.72284f, 1e4f, float.MinValue, float.MaxValue, float.NegativeInfinity, float.PositiveInfinity, float.NaN];

    [Fact]
    public void Exp_Edges_AreMathFs() => AssertIsMathFs([.. Edges, .. new float[6]]);

    [Fact]
    public void Exp_AnyNumbers_AreMathFs() => Gen.Float[-110f, 90f].Array[CMath.Count].Sample(AssertIsMathFs, iter: 100_000);

    [Fact]
    public void Exp_EveryNumberOfAnOctave_IsMathFs()
    {
        // 2²³ numbers: of these thousands lie near the middle between two results.
        var x = new float[CMath.Count];
        for (var bits = 0x4080_0000; bits < 0x4100_0000; bits += CMath.Count)
        {
            for (var i = 0; i < x.Length; i++)
                x[i] = -BitConverter.Int32BitsToSingle(bits + i); // −4 to −8
            AssertIsMathFs(x);
        }
    }

    [Fact]
    public void AddInOrder_AnyTerms_IsOneAdditionAfterTheOther() =>
        Gen.Select(Gen.Float[0f, 2f], Gen.Int[0, 30], Gen.Float[0f, 1f].Array[CMath.Count]).Sample((sum, shift, terms) =>
        {
            var scaled = terms.Select(term => MathF.ScaleB(term, -shift)).ToArray();
            Assert.Equal(scaled.Aggregate(sum, (total, term) => total + term), CMath.AddInOrder(sum, Vector256.Create(scaled)));
        }, iter: 100_000);

    [Fact]
    public void AddInOrder_HalvesOfTheLastPlace_AreRoundedAsEver()
    {
        // Half of the last place goes to the even neighbour: 1 stays, the number after it does not.
        foreach (var sum in new[] { 1f, MathF.BitIncrement(1f), MathF.BitDecrement(2f), MathF.BitDecrement(1f) })
        {
            foreach (var term in new[] { 1f / (1 << 24), 1f / (1 << 25), MathF.BitIncrement(1f / (1 << 25)), MathF.BitDecrement(1f / (1 << 24)) })
            {
                var terms = Enumerable.Repeat(term, CMath.Count).ToArray();
                Assert.Equal(terms.Aggregate(sum, (total, t) => total + t), CMath.AddInOrder(sum, Vector256.Create(terms)));
            }
        }
        // Here a part of the sum is no more than a last place itself.
        foreach (var bits in new[] { 0x0100_0001, 0x0112_d169, 0x017f_ffff, 0x0200_0001, 0x0280_0001, 0x0300_0001, 0x0000_0001 })
        {
            var sum = BitConverter.Int32BitsToSingle(bits);
            for (var ulps = 0; ulps < 20; ulps++)
            {
                var terms = Enumerable.Repeat(ulps * float.Epsilon, CMath.Count).ToArray();
                Assert.Equal(terms.Aggregate(sum, (total, t) => total + t), CMath.AddInOrder(sum, Vector256.Create(terms)));
            }
        }
        Assert.True(float.IsNaN(CMath.AddInOrder(1f, Vector256.Create(0f, 0, 0, float.NaN, 0, 0, 0, 0))));
    }

    private static void AssertIsMathFs(float[] x)
    {
        var result = stackalloc float[CMath.Count];
        for (var i = 0; i < x.Length; i += CMath.Count)
        {
            CMath.Exp(Vector256.Create(x, i), result);
            for (var lane = 0; lane < CMath.Count; lane++)
            {
                var (expected, found) = (MathF.Exp(x[i + lane]), result[lane]);
                // Other C libraries than glibc and musl may be off by more than what is left to them.
                if (OperatingSystem.IsLinux() ? !expected.Equals(found) : !(expected.Equals(found) || MathF.Abs(expected - found) <= MathF.BitIncrement(expected) - expected))
                    Assert.Fail($"exp({x[i + lane]:R}) is {expected:R}, not {found:R}");
            }
        }
    }
}
