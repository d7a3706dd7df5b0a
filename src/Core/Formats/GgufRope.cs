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

    // The settings of Llama 3.1 and of Llama 3.2. The file has their result alone, so others cannot be told from it.
    private static readonly float[] Llama3Factors = [8, 32];

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

    /// <summary>The scaling that gives these factors, of those that Llama's models have.</summary>
    /// <param name="config">The model's shape without a scaling.</param>
    /// <param name="factors">rope_freqs.weight.</param>
    /// <returns>Null if none does.</returns>
    public static RopeScaling? Find(LlamaConfig config, ReadOnlySpan<float> factors)
    {
        foreach (var factor in Llama3Factors)
        {
            var scaling = new RopeScaling { Kind = RopeScalingKind.Llama3, Factor = factor, LowFreqFactor = 1, HighFreqFactor = 4, OriginalMaxSeqLen = 8192 };
            if (AreClose(Factors(config with { RopeScaling = scaling })!, factors))
                return scaling;
        }
        return null;
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
