using CsCheck;

namespace LlamaFullstack.Inference.Tests;

public sealed class SamplerTests
{
    [Fact]
    public void NextCoin_Seed42_IsLlama2cs()
    {
        var sampler = new Sampler(1, 1f, 0.9f, seed: 42);
        // 1456360119, 3359763283 and 3393612768, each without its last 8 bits, over 2^24.
        foreach (var bits in new[] { 1456360119u, 3359763283u, 3393612768u })
            Assert.Equal((bits >> 8) / 16777216f, sampler.NextCoin());
    }

    [Fact]
    public void Sample_TemperatureZero_IsTheFirstLargestAndTakesNoCoin()
    {
        var sampler = new Sampler(4, 0f, 0.9f, seed: 42);
        Assert.Equal(1, sampler.Sample([0f, 3f, 3f, 1f]));
        Assert.Equal((1456360119u >> 8) / 16777216f, sampler.NextCoin());
    }

    [Fact]
    public void Sample_AnyLogits_IsWhatTheNaiveSamplerChooses() =>
        Gen.Select(
            Gen.Float[-20f, 20f].Array[1, 300],
            Gen.OneOf(0.1f, 0.7f, 1f, 3f, 50f),
            Gen.OneOf(0f, 0.001f, 0.3f, 0.9f, 0.999f, 1f),
            Gen.ULong[1, ulong.MaxValue])
        .Sample((logits, temperature, topP, seed) =>
        {
            var sampler = new Sampler(logits.Length, temperature, topP, seed);
            var naive = new NaiveSampler(temperature, topP, seed);
            for (var i = 0; i < 5; i++)
                Assert.Equal(naive.Sample(logits), sampler.Sample(logits));
        });

    [Theory]
    [InlineData(1f)]
    [InlineData(3f)]
    [InlineData(20f)]
    public void Sample_AWholeVocabulary_IsWhatTheNaiveSamplerChooses(float spread) =>
        Gen.Select(Gen.Int[1, 1 << 30], Gen.OneOf(0.5f, 1f), Gen.OneOf(0.9f, 1f), Gen.ULong[1, ulong.MaxValue]).Sample((start, temperature, topP, seed) =>
        {
            var random = new Random(start);
            var logits = Enumerable.Range(0, 32_003).Select(_ => spread * (float)Math.Log(1 / (1 - random.NextDouble()) - 1 + 1e-9)).ToArray();
            Assert.Equal(new NaiveSampler(temperature, topP, seed).Sample(logits), new Sampler(logits.Length, temperature, topP, seed).Sample(logits));
        }, iter: 20);

    [Fact]
    public void Sample_SumsThatGrowByHalvesOfTheirLastPlace_IsWhatTheNaiveSamplerChooses()
    {
        // Each pair is so far above the one before that its sum hangs on how a tie was rounded there.
        float[][] pairs = [[-84.56396f, -98.25502f], [-101.89264f], [-67.23578f, -74.83194f], [-49.907177f, -57.359554f], [-32.57842f, -40.176735f], [-15.53742f, -23.137728f], [0], [0]];
        var logits = new float[8 * pairs.Length];
        Array.Fill(logits, float.NegativeInfinity);
        for (var i = 0; i < pairs.Length; i++)
            pairs[i].CopyTo(logits, 8 * i);
        foreach (var seed in new ulong[] { 7_767_648, 8_422_470, 21_588_881 })
            Assert.Equal(new NaiveSampler(1f, 0f, seed).Sample(logits), new Sampler(logits.Length, 1f, 0f, seed).Sample(logits));
    }

    [Fact]
    public void Sample_ManyEqualProbabilities_TakesTheLowerTokensFirst() =>
        // Few distinct logits, so that ties straddle the edge of the set.
        Gen.Select(Gen.Int[0, 2].Array[2, 100], Gen.OneOf(0.2f, 0.5f, 0.9f), Gen.ULong[1, ulong.MaxValue])
        .Sample((levels, topP, seed) =>
        {
            var logits = levels.Select(level => (float)level).ToArray();
            Assert.Equal(new NaiveSampler(1f, topP, seed).Sample(logits), new Sampler(logits.Length, 1f, topP, seed).Sample(logits));
        });

    [Fact]
    public void Sample_EveryTokenBelowTheCutoff_IsTheLikeliest()
    {
        // 1000 equal tokens of 0.001 each; the cutoff (1 - 1e-7) / 999 is above.
        Assert.Equal(0, new Sampler(1000, 1f, 1e-7f, seed: 1).Sample(new float[1000]));
        Assert.Equal(0, new Sampler(1, 1f, 0.9f, seed: 1).Sample([5f]));
    }

    [Theory]
    [InlineData(0f)]
    [InlineData(1f)]
    public void Sample_NaNLogit_SaysSo(float temperature)
    {
        var sampler = new Sampler(20, temperature, 0.9f, seed: 1);
        var logits = new float[20];
        logits[7] = float.NaN;
        Assert.Contains("NaN", Assert.Throws<InvalidDataException>(() => sampler.Sample(logits)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sample_InfiniteLogits_SaysSo()
    {
        var sampler = new Sampler(2, 1f, 0.9f, seed: 1);
        Assert.Throws<InvalidDataException>(() => sampler.Sample([float.NegativeInfinity, float.NegativeInfinity]));
        Assert.Throws<InvalidDataException>(() => sampler.Sample([float.PositiveInfinity, 0f]));
    }

    [Fact]
    public void Sample_TemperatureNearZero_IsTheLikeliest() =>
        Assert.Equal(2, new Sampler(3, float.Epsilon, 0.9f, seed: 1).Sample([1f, 2f, 3f]));

    [Theory]
    [InlineData(-1f, 0.9f, 1)]
    [InlineData(float.NaN, 0.9f, 1)]
    [InlineData(1f, -0.1f, 1)]
    [InlineData(1f, 1.1f, 1)]
    [InlineData(1f, float.NaN, 1)]
    [InlineData(1f, 0.9f, 0)]
    public void Constructor_ValueOutOfRange_Throws(float temperature, float topP, ulong seed) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new Sampler(10, temperature, topP, seed));

    [Fact]
    public void Sample_WrongNumberOfLogits_Throws() =>
        Assert.Throws<ArgumentException>(() => new Sampler(10, 1f, 0.9f, seed: 1).Sample(new float[9]));

    /// <summary>What spec and run.c say, as plainly as it can be written: every candidate sorted.</summary>
    private sealed class NaiveSampler(float temperature, float topP, ulong state)
    {
        private ulong _state = state;

        public int Sample(float[] logits)
        {
            var scaled = logits.Select(v => v / temperature).ToArray();
            var max = scaled.Max();
            var exps = scaled.Select(v => MathF.Exp(v - max)).ToArray();
            var sum = exps.Aggregate(0f, (total, e) => total + e);
            var p = exps.Select(e => e / sum).ToArray();
            var coin = Coin();
            if (topP is 0 or 1)
                return Pick([.. p.Select((probability, token) => (probability, token))], coin);

            var cutoff = (1f - topP) / (p.Length - 1);
            var sorted = p.Select((probability, token) => (probability, token)).Where(c => c.probability >= cutoff)
                .OrderByDescending(c => c.probability).ThenBy(c => c.token).ToArray();
            if (sorted.Length == 0)
                return Array.IndexOf(scaled, max);
            var cumulative = 0f;
            var count = 0;
            while (count < sorted.Length && cumulative <= topP)
                cumulative += sorted[count++].probability;
            return Pick(sorted[..count], coin * cumulative);
        }

        private static int Pick((float Probability, int Token)[] candidates, float r)
        {
            var cdf = 0f;
            foreach (var (probability, token) in candidates)
            {
                cdf += probability;
                if (r < cdf)
                    return token;
            }
            return candidates[^1].Token;
        }

        private float Coin()
        {
            _state ^= _state >> 12;
            _state ^= _state << 25;
            _state ^= _state >> 27;
            return ((uint)(_state * 0x2545F4914F6CDD1DUL >> 32) >> 8) / 16777216f;
        }
    }
}
