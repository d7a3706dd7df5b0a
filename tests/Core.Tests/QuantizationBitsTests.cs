using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Core.Tests;

/// <summary>The quantisers work on several weights at once; each weight must come out as the rule says for it alone, bit for bit.</summary>
public class QuantizationBitsTests
{
    // Widths around the lanes (8, 32), values of every size, halves and what lies beside them.
    public static TheoryData<int> GroupSizes => [2, 4, 8, 12, 24, 32, 36, 64, 128];

    [Theory, MemberData(nameof(GroupSizes))]
    public void Int8_AnyGroup_IsTheRuleForEachWeight(int groupSize)
    {
        var random = new Random(groupSize);
        for (var trial = 0; trial < 300; trial++)
        {
            var w = Weights(random, 2 * groupSize, trial);
            var (q, scales) = (new sbyte[w.Length], new float[2]);
            Assert.True(Int8Groups.TryQuantize(w, groupSize, q, scales));
            float[] expected = [w[..groupSize].Max(Math.Abs) / 127f, w[groupSize..].Max(Math.Abs) / 127f];
            var (max, sum) = (0f, 0.0);
            for (var i = 0; i < w.Length; i++)
            {
                var scale = expected[i / groupSize];
                Assert.Equal(scale, scales[i / groupSize]);
                Assert.Equal(scale == 0 ? 0 : (sbyte)Math.Clamp(MathF.Round(w[i] / scale, MidpointRounding.ToEven), -127f, 127f), q[i]);
                max = Math.Max(max, Math.Abs(w[i] - q[i] * scale));
                sum += Math.Abs(w[i] - q[i] * scale);
            }
            var back = new float[w.Length];
            Int8Groups.Dequantize(q, scales, groupSize, back);
            for (var i = 0; i < w.Length; i++)
                Assert.Equal(q[i] * scales[i / groupSize], back[i]);
            var error = Difference.Of(w, back);
            Assert.Equal(max, error.Max);
            Assert.InRange(error.Sum, sum * (1 - 4e-6), sum * (1 + 4e-6)); // 64 roundings of 2^-24
        }
    }

    [Theory, MemberData(nameof(GroupSizes))]
    public void Int4_AnyGroup_HasTheNearestCodeOfItsScale(int groupSize)
    {
        var random = new Random(groupSize);
        for (var trial = 0; trial < 300; trial++)
        {
            var w = Weights(random, groupSize, trial);
            var (codes, scales, back) = (new byte[groupSize / 2], new Half[1], new float[groupSize]);
            Assert.True(Int4Groups.TryQuantize(w, groupSize, codes, scales));
            Int4Groups.Dequantize(codes, scales, groupSize, back);
            for (var i = 0; i < groupSize; i++)
            {
                var code = (i < groupSize / 2 ? codes[i] & 15 : codes[i - groupSize / 2] >> 4) - 8;
                Assert.Equal((float)scales[0] == 0 ? 0 : (int)Math.Clamp(MathF.Round(w[i] / (float)scales[0]), -8f, 7f), code);
                Assert.Equal(code * (float)scales[0], back[i]);
            }
        }
    }

    [Fact]
    public void Q8_AnyBlock_IsTheRuleForEachWeight()
    {
        var random = new Random(8);
        for (var trial = 0; trial < 2000; trial++)
        {
            var w = Weights(random, 32, trial);
            var block = new byte[Q8Blocks.Bytes];
            Assert.True(Q8Blocks.TryQuantize(w, block));
            var scale = w.Max(Math.Abs) / 127f;
            var inverse = float.IsFinite(1 / scale) ? 1 / scale : 0;
            Assert.Equal((Half)scale, BitConverter.ToHalf(block));
            for (var i = 0; i < 32; i++)
                Assert.Equal((sbyte)Math.Clamp(MathF.Round(w[i] * inverse, MidpointRounding.AwayFromZero), -127f, 127f), (sbyte)block[2 + i]);
        }
    }

    [Fact]
    public void Q4_AnyBlock_IsTheRuleForEachWeight()
    {
        var random = new Random(4);
        for (var trial = 0; trial < 2000; trial++)
        {
            var w = Weights(random, 32, trial);
            var block = new byte[Q4Blocks.Bytes];
            Assert.True(Q4Blocks.TryQuantize(w, block));
            var scale = w.MaxBy(Math.Abs) / -8;
            var inverse = float.IsFinite(1 / scale) ? 1 / scale : 0;
            Assert.Equal((Half)scale, BitConverter.ToHalf(block));
            for (var i = 0; i < 32; i++)
                Assert.Equal(Math.Min(15, (int)(w[i] * inverse + 8.5f)), i < 16 ? block[2 + i] & 15 : block[2 + i - 16] >> 4);
        }
    }

    [Fact]
    public void Magnitudes_OneWeightIsNoNumber_IsFoundAtEveryPlace()
    {
        foreach (var bad in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity])
            for (var at = 0; at < 64; at++)
            {
                var w = new float[64];
                w[at] = bad;
                Assert.False(Int8Groups.TryQuantize(w, 64, new sbyte[64], new float[1]));
                Assert.False(Int4Groups.TryQuantize(w, 64, new byte[32], new Half[1]));
                Assert.False(Q8Blocks.TryQuantize(w, new byte[68]));
                Assert.False(Q4Blocks.TryQuantize(w, new byte[36]));
            }
    }

    [Fact]
    public void Float16_EveryNumberAndWhatLiesBetween_IsRoundedHalfToEven()
    {
        var values = new List<float>();
        for (var bits = 0; bits < 0x7c00; bits++)
        {
            var value = (float)BitConverter.UInt16BitsToHalf((ushort)bits);
            var next = bits == 0x7bff ? 65536 : (float)BitConverter.UInt16BitsToHalf((ushort)(bits + 1));
            var middle = value + (next - value) / 2;
            values.AddRange([value, -value, middle, -middle, MathF.BitDecrement(middle), MathF.BitIncrement(middle)]);
        }
        values.RemoveAll(value => Math.Abs(value) >= 65520);
        var bytes = new byte[2 * values.Count];
        Assert.True(NumberType.Float16.TryFromFloat32(values.ToArray(), bytes));
        for (var i = 0; i < values.Count; i++)
            Assert.Equal(BitConverter.HalfToUInt16Bits((Half)values[i]), BitConverter.ToUInt16(bytes, 2 * i));
        Assert.True(NumberType.Float16.TryFromFloat32([.. new float[16], float.NaN, float.PositiveInfinity], new byte[36]));
        Assert.False(NumberType.Float16.TryFromFloat32([.. new float[16], 65520], new byte[34]));
        Assert.False(NumberType.Float16.TryFromFloat32([.. new float[9], -65520, .. new float[16]], new byte[52]));
    }

    [Fact]
    public void BFloat16_OfAnyBits_IsRoundedHalfToEvenAndNaNStaysNaN()
    {
        var random = new Random(16);
        var values = Enumerable.Range(0, 100_003).Select(_ => BitConverter.UInt32BitsToSingle((uint)random.NextInt64(1L << 32) & (random.Next(2) == 0 ? ~0u : 0xffff8000u))).ToArray();
        var bytes = new byte[2 * values.Length];
        Assert.True(NumberType.BFloat16.TryFromFloat32(values, bytes));
        for (var i = 0; i < values.Length; i++)
        {
            var bits = BitConverter.SingleToUInt32Bits(values[i]);
            Assert.Equal(float.IsNaN(values[i]) ? bits >> 16 | 0x40 : (uint)(bits + 0x7fffL + (bits >> 16 & 1) >> 16), BitConverter.ToUInt16(bytes, 2 * i));
        }
    }

    // Ordinary weights; small whole numbers and halves, whose quotients are often exactly between; denormals; zeros; and both signs of one magnitude.
    private static float[] Weights(Random random, int count, int trial)
    {
        var w = new float[count];
        foreach (ref var value in w.AsSpan())
            value = (trial % 5) switch
            {
                0 => (random.NextSingle() - 0.5f) * MathF.Pow(10, random.Next(-3, 3)),
                1 => random.Next(-254, 255) / 2f,
                2 => BitConverter.Int32BitsToSingle(random.Next(0, 3000)) * (random.Next(2) * 2 - 1),
                3 => random.Next(3) - 1,
                _ => random.Next(-1016, 1017) / 16f,
            };
        if (trial % 5 == 1)
            w[random.Next(count)] = 127; // the scale is 1, so that halves are halves
        if (trial % 50 == 49)
            Array.Clear(w);
        return w;
    }
}
