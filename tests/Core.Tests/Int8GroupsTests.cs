using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Core.Tests;

public class Int8GroupsTests
{
    [Fact]
    public void Quantize_KnownGroup_RoundsHalfToEven()
    {
        // scale = 127 / 127 = 1, so the values are their own quotients.
        float[] values = [127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -127, 3.49f];
        var q = new sbyte[8];
        var scales = new float[1];
        Assert.True(Int8Groups.TryQuantize(values, 8, q, scales));
        Assert.Equal(1f, scales[0]);
        Assert.Equal(new sbyte[] { 127, 0, 2, 2, 0, -2, -127, 3 }, q);
    }

    [Fact]
    public void Quantize_GroupOfZeros_HasScaleZero()
    {
        var q = new sbyte[] { 1, 1, 1, 1 };
        var scales = new float[2];
        Assert.True(Int8Groups.TryQuantize([0, -0f, 1, 1], 2, q, scales));
        Assert.Equal([0f, 1f / 127], scales);
        Assert.Equal(new sbyte[] { 0, 0, 127, 127 }, q);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void Quantize_NotANumber_IsRefused(float bad) =>
        Assert.False(Int8Groups.TryQuantize([1, bad], 2, new sbyte[2], new float[1]));

    [Fact]
    public void Quantize_SmallestNumbers_StayInRange()
    {
        var q = new sbyte[2];
        var scales = new float[1];
        for (var bits = 1; bits < 2000; bits++) // denormals, whose scale is rounded by up to a half
        {
            var value = BitConverter.Int32BitsToSingle(bits);
            Assert.True(Int8Groups.TryQuantize([value, -value], 2, q, scales));
            Assert.Equal(q[0], -q[1]);
        }
    }
}
