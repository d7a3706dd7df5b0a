using System.Numerics;
using LlamaFullstack.Training.Kernels;

namespace LlamaFullstack.Training.Tests.Kernels;

public sealed class DropoutMaskTests
{
    [Theory]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(0.9)]
    public void Factor_AMillionIndices_DropsItsShareAndKeepsTheMean(double share)
    {
        const int Count = 1 << 20;
        var mask = new DropoutMask(share, key: 5);
        double Share(Func<uint, bool> isTrue) => Enumerable.Range(0, Count).Count(i => isTrue((uint)i)) / (double)Count;
        bool Drops(DropoutMask of, uint index) => of.Factor<float>(index) == 0;
        double Deviation(double probability) => 5 * Math.Sqrt(probability * (1 - probability) / Count);

        Assert.Equal(share, Share(index => Drops(mask, index)), Deviation(share));
        Assert.All(Enumerable.Range(0, 1000), i => Assert.True(Drops(mask, (uint)i) || mask.Factor<float>((uint)i) == 1 / (1 - share)));
        // Neighbours, neighbouring features of a tile, other layers, places and keys are independent: both are dropped as often as chance has it.
        foreach (var other in (Func<uint, bool>[])[i => Drops(mask, i + 1), i => Drops(mask, i + 32), i => Drops(mask, i + 65536), i => Drops(mask.Of(0), i),
            i => Drops(new(share, key: 6), i), i => Drops(new(share, key: 5UL << 32), i)])
            Assert.Equal(share * share, Share(index => Drops(mask, index) && other(index)), Deviation(share * share));
        Assert.Equal(share * share, Share(index => Drops(mask.Of(1, DropoutPlace.AttentionOutput), index) && Drops(mask.Of(1, DropoutPlace.FeedForwardOutput), index)), Deviation(share * share));
        Assert.Equal(share, Share(index => Drops(mask.Of((int)index), 7)), Deviation(share)); // the same place in each tile
    }

    [Fact]
    public void Apply_AnyRegister_MultipliesWithTheFactorOfEachIndex()
    {
        foreach (var length in (int[])[0, 1, 15, 16, 17, 288])
        {
            Apply<Register512<float>, float>(length);
            Apply<Register256<float>, float>(length);
            Apply<Register128<float>, float>(length);
            Apply<Register512<double>, double>(length);
            Apply<Register256<double>, double>(length);
            Apply<Register128<double>, double>(length);
        }
    }

    [Fact]
    public unsafe void Apply_Default_DropsNothing()
    {
        float[] values = [1, float.NaN, 3];
        fixed (float* x = values)
            default(DropoutMask).Of(3, DropoutPlace.Embedding).Of(1).Apply<Register128<float>, float>(3, x);
        Assert.Equal([1, float.NaN, 3], values);
    }

    private static unsafe void Apply<V, T>(int length) where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        const uint First = uint.MaxValue / 2 - 100; // for float64 the count of 32 bits begins anew on the way
        var mask = new DropoutMask(0.3, key: 8).Of(2, DropoutPlace.AttentionWeights);
        T[] values = [.. Enumerable.Range(1, length + 1).Select(i => T.CreateTruncating(i))];
        T[] expected = [.. values.Select((x, i) => i == length ? x : x * T.CreateTruncating(mask.Factor<T>(First + (uint)i)))];
        fixed (T* x = values)
            mask.Apply<V, T>(length, x, First);
        Assert.Equal(expected, values);
    }
}
