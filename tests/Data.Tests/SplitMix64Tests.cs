namespace LlamaFullstack.Data.Tests;

public class SplitMix64Tests
{
    [Fact]
    public void Next_Seed1234567_GivesThePublishedSequence()
    {
        // The first values of Vigna's splitmix64.c for the state 1234567.
        var random = new SplitMix64(1234567);
        Assert.Equal(
            [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821],
            Enumerable.Range(0, 5).Select(_ => random.Next()));
    }

    [Fact]
    public void Below_ManyDraws_CoversTheRangeEvenly()
    {
        // 6,000 draws from 6: each count is binomial, mean 1,000 and deviation 28.9; five deviations are 144.
        var random = new SplitMix64(1);
        var counts = new int[6];
        for (var i = 0; i < 6000; i++)
            counts[random.Below(6)]++;
        Assert.All(counts, count => Assert.InRange(count, 856, 1144));
    }

    [Fact]
    public void Permutation_AnyCount_HoldsEachNumberOnce()
    {
        var random = new SplitMix64(2);
        foreach (var count in new[] { 0, 1, 2, 17, 1000 })
            Assert.Equal(Enumerable.Range(0, count), random.Permutation(count).Order());
    }
}
