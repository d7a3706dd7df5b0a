namespace LlamaFullstack.Core.Formats;

/// <summary>How GGUF writes RoPE's scaling: linear as metadata, Llama 3's as a tensor of the factors that divide the frequencies.</summary>
public static class GgufRope
{
    /// <summary>The kind of scaling that is metadata.</summary>
    public const string ScalingType = "llama.rope.scaling.type";

    /// <summary>Its factor.</summary>
    public const string ScalingFactor = "llama.rope.scaling.factor";

    /// <summary>Every frequency is divided by the factor.</summary>
    public const string Linear = "linear";

    /// <summary>What gave Llama 3's factors, for readers that want more than the result: ours alone.</summary>
    public const string Llama3Factor = "llamafs.rope_scaling.factor";

    /// <inheritdoc cref="Llama3Factor"/>
    public const string Llama3LowFreqFactor = "llamafs.rope_scaling.low_freq_factor";

    /// <inheritdoc cref="Llama3Factor"/>
    public const string Llama3HighFreqFactor = "llamafs.rope_scaling.high_freq_factor";

    /// <inheritdoc cref="Llama3Factor"/>
    public const string Llama3OriginalMaxSeqLen = "llamafs.rope_scaling.original_max_position_embeddings";

    // Of Llama 3.1 and of Llama 3.2, to be known in files of other converters, which have the result alone.
    private static readonly RopeScaling[] Published = [.. new float[] { 8, 32 }.Select(factor =>
        new RopeScaling { Kind = RopeScalingKind.Llama3, Factor = factor, LowFreqFactor = 1, HighFreqFactor = 4, OriginalMaxSeqLen = 8192 })];

    // Factors are float32 results of a formula that converters compute each in its own way: a few units in the last place.
    private const float Tolerance = 1e-5f;

    /// <summary>Llama 3's factors, (head_size / 2), each 1 to the scaling's factor; null for any other scaling.</summary>
    public static float[]? Factors(LlamaConfig config)
    {
        if (config.RopeScaling is not { Kind: RopeScalingKind.Llama3 })
            return null;
        var plain = RopeTable.Frequencies(config with { RopeScaling = null });
        var scaled = RopeTable.Frequencies(config);
        return [.. plain.Zip(scaled, (before, after) => before / after)];
    }

    /// <summary>The scaling that gives these factors: the one that the file tells of, or one of Llama's models.</summary>
    /// <param name="config">The model's shape without a scaling.</param>
    /// <param name="metadata">The file's.</param>
    /// <param name="factors">rope_freqs.weight.</param>
    /// <returns>Null if none does.</returns>
    public static RopeScaling? Find(LlamaConfig config, GgufMetadata metadata, float[] factors) =>
        Stated(metadata).Concat(Published).FirstOrDefault(scaling => AreClose(Factors(config with { RopeScaling = scaling })!, factors));

    private static IEnumerable<RopeScaling> Stated(GgufMetadata metadata)
    {
        if (metadata.Fraction(Llama3Factor) is not { } factor || metadata.Fraction(Llama3LowFreqFactor) is not { } low
            || metadata.Fraction(Llama3HighFreqFactor) is not { } high || metadata.Whole(Llama3OriginalMaxSeqLen) is not { } original)
            yield break;
        var scaling = new RopeScaling { Kind = RopeScalingKind.Llama3, Factor = factor, LowFreqFactor = low, HighFreqFactor = high, OriginalMaxSeqLen = original };
        if (scaling.FindProblem() is null)
            yield return scaling;
    }

    private static bool AreClose(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        if (expected.Length != actual.Length)
            return false;
        for (var i = 0; i < expected.Length; i++)
            if (!(Math.Abs(expected[i] - actual[i]) <= Tolerance * expected[i]))
                return false;
        return true;
    }
}
