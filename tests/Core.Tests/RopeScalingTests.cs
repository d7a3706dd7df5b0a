namespace LlamaFullstack.Core.Tests;

public class RopeScalingTests
{
    private static readonly LlamaConfig Llama31 = new()
    {
        Dim = 4096,
        HiddenDim = 14336,
        NLayers = 32,
        NHeads = 32,
        NKvHeads = 8,
        VocabSize = 128256,
        MaxSeqLen = 131072,
        RopeTheta = 500_000f,
        RopeScaling = new RopeScaling { Kind = RopeScalingKind.Llama3, Factor = 8, LowFreqFactor = 1, HighFreqFactor = 4, OriginalMaxSeqLen = 8192 },
    };

    // transformers' _compute_llama3_parameters in PyTorch 1.13 for Llama 3.1 8B: kept, blended, divided.
    [Theory]
    [InlineData(0, 1f)]
    [InlineData(28, 0.0032114461064338684f)]
    [InlineData(29, 0.0021665706299245358f)]
    [InlineData(31, 0.0008567514596506953f)]
    [InlineData(34, 0.0001785077911335975f)]
    [InlineData(35, 9.556212171446532e-05f)]
    [InlineData(63, 3.068925877869333e-07f)]
    public void Frequency_Llama31_IsTransformers(int pair, float expected) =>
        // A few roundings in another order: each at most 2^-24 of the value, amplified where two terms of the blend cancel.
        Assert.Equal(expected, RopeTable.Frequency(Llama31, pair), expected * 1e-6f);

    [Fact]
    public void Frequency_Linear_IsDivided()
    {
        var plain = Llama31 with { RopeScaling = null };
        var linear = Llama31 with { RopeScaling = new RopeScaling { Kind = RopeScalingKind.Linear, Factor = 4 } };
        Assert.All(Enumerable.Range(0, 64), pair => Assert.Equal(RopeTable.Frequency(plain, pair) / 4, RopeTable.Frequency(linear, pair)));
    }

    [Fact]
    public void FindProblem_HostileValues_NamesTheField()
    {
        string? Problem(RopeScaling scaling) => (Llama31 with { RopeScaling = scaling }).FindProblem();
        var good = Llama31.RopeScaling!;
        Assert.Null(Problem(good));
        Assert.Equal("rope_scaling 7 must be 1 (linear) or 2 (llama3)", Problem(good with { Kind = (RopeScalingKind)7 }));
        Assert.Equal("rope_scaling factor 0.5 must be at least 1", Problem(good with { Factor = 0.5f }));
        Assert.Equal("rope_scaling factor NaN must be at least 1", Problem(good with { Factor = float.NaN }));
        Assert.Equal("rope_scaling low_freq_factor 0 must be a positive number", Problem(good with { LowFreqFactor = 0 }));
        Assert.Equal("rope_scaling high_freq_factor 1 must be above low_freq_factor 1", Problem(good with { HighFreqFactor = 1 }));
        Assert.Equal("rope_scaling original_max_position_embeddings 0 must be at least 1", Problem(good with { OriginalMaxSeqLen = 0 }));
    }
}
