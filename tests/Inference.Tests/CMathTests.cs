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
        Gen.Select(Gen.Float[0f, 2f], Gen.Int[0, 30], Gen.Float[0f, 1f].Array[0, 300]).Sample((sum, shift, terms) =>
            AssertIsAddedInOrder(sum, [.. terms.Select(term => MathF.ScaleB(term, -shift))]), iter: 20_000);

    [Fact]
    public void AddInOrder_SumsThatPassPowersOfTwo_IsOneAdditionAfterTheOther() =>
        Gen.Select(Gen.Float[0f, 1f].Array[700], Gen.Int[1, 12], Gen.Int[0, 100]).Sample((terms, steepness, zeros) =>
            AssertIsAddedInOrder(0, [.. new float[zeros], .. terms.Select(term => MathF.Pow(term, steepness))]), iter: 5_000);

    // Terms of few digits lie in the middle between two sums every few additions.
    [Fact]
    public void AddInOrder_TermsInTheMiddle_IsOneAdditionAfterTheOther() =>
        Gen.Select(Gen.Int[1 << 23, 1 << 24], Gen.Int[0, 7].Array[64, 200], Gen.Int[-149, 100]).Sample((sum, terms, exponent) =>
            AssertIsAddedInOrder(MathF.ScaleB(sum, exponent), [.. terms.Select(halves => MathF.ScaleB(halves, exponent - 1))]), iter: 20_000);

    [Fact]
    public void AddInOrder_OneTermOfMany_IsOneAdditionAfterTheOther()
    {
        var sums = new[] { 0f, float.Epsilon, MathF.BitDecrement(1f), 1f, MathF.BitIncrement(1f), 1.5f, MathF.BitDecrement(2f), float.MaxValue, float.PositiveInfinity };
        var parts = new[] { 0f, 1f / (1 << 26), MathF.BitDecrement(1f / (1 << 25)), 1f / (1 << 25), 1f / (1 << 24), MathF.BitIncrement(1f / (1 << 24)), 3f / (1 << 24), 0.25f, MathF.BitDecrement(0.5f), 0.5f, 0.5f + 1f / (1 << 23), 0.75f + 1f / (1 << 23), 1f, 2f };
        foreach (var sum in sums)
        {
            foreach (var part in parts)
            {
                for (var at = 0; at < 64; at += 21)
                {
                    var terms = new float[64];
                    terms[at] = sum * part;
                    AssertIsAddedInOrder(sum, terms);
                    terms[63] = float.Epsilon;
                    AssertIsAddedInOrder(sum, terms);
                }
            }
        }
        foreach (var wrong in new[] { float.NaN, float.PositiveInfinity })
            AssertIsAddedInOrder(1, [.. new float[40], wrong, .. new float[23]]);
    }

    private static void AssertIsAddedInOrder(float sum, float[] terms)
    {
        var expected = terms.Aggregate(sum, (total, term) => total + term);
        fixed (float* first = terms)
        {
            var found = CMath.AddInOrder(sum, first, terms.Length);
            if (!expected.Equals(found))
                Assert.Fail($"{sum:R} and {terms.Length} terms are {expected:R}, not {found:R}");
        }
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
