using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Core.Tests;

public class Int4GroupsTests
{
    [Fact]
    public void TryQuantize_MultiplesOfAScale_AreExactAndPackedByHalves()
    {
        float[] values = [-8, 7, 1, 0, 3, -2, 5, -7];
        var (codes, scales) = (new byte[4], new Half[1]);
        Assert.True(Int4Groups.TryQuantize(values, 8, codes, scales));
        Assert.Equal((Half)1, scales[0]);
        // Byte j: weight j in the low half, weight j + 4 in the high half; code = weight + 8.
        Assert.Equal(new byte[] { 0xb0, 0x6f, 0xd9, 0x18 }, codes);
        var back = new float[8];
        Int4Groups.Dequantize(codes, scales, 8, back);
        Assert.Equal(values, back);
    }

    [Fact]
    public void TryQuantize_RandomGroups_BeatsTheScaleOfTheLargestWeight()
    {
        var random = new Random(1);
        var (ours, plain) = (0.0, 0.0);
        for (var trial = 0; trial < 200; trial++)
        {
            var w = Enumerable.Range(0, 32).Select(_ => random.NextSingle() + random.NextSingle() + random.NextSingle() - 1.5f).ToArray();
            var (codes, scales, back) = (new byte[16], new Half[1], new float[32]);
            Assert.True(Int4Groups.TryQuantize(w, 32, codes, scales));
            Int4Groups.Dequantize(codes, scales, 32, back);
            ours += w.Zip(back, (a, b) => Math.Pow(a - b, 2)).Sum();

            // GGUF's rule for Q4_0: the largest weight becomes −8.
            var scale = (float)(Half)(w.MaxBy(Math.Abs) / -8);
            plain += w.Sum(a => Math.Pow(a - scale * Math.Clamp(MathF.Round(a / scale), -8, 7), 2));
        }
        Assert.InRange(ours / plain, 0, 0.9);
    }

    [Fact]
    public void TryQuantize_Zeros_HaveScaleZero()
    {
        var (codes, scales) = (new byte[2], new[] { (Half)1 });
        Assert.True(Int4Groups.TryQuantize([0, -0f, 0, 0], 4, codes, scales));
        Assert.Equal(Half.Zero, scales[0]);
        Assert.Equal(new byte[] { 0x88, 0x88 }, codes);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(1e6f)]
    public void TryQuantize_WhatFloat16CannotScale_IsRefused(float bad) =>
        Assert.False(Int4Groups.TryQuantize([1, bad], 2, new byte[1], new Half[1]));
}
