using System.Text.Json.Serialization;

namespace LlamaFullstack.Core;

/// <summary>The ways of scaling; the values stand in model files.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<RopeScalingKind>))]
public enum RopeScalingKind
{
    /// <summary>Every frequency is divided by the factor (Chen et al., 2023).</summary>
    [JsonStringEnumMemberName("linear")]
    Linear = 1,

    /// <summary>Low frequencies are divided by the factor, high ones kept, those between blended (Llama 3.1).</summary>
    [JsonStringEnumMemberName("llama3")]
    Llama3 = 2,
}

/// <summary>How RoPE's frequencies are changed so that a model reads longer texts than those that it was first trained on.</summary>
/// <remarks>JSON names are those of <c>rope_scaling</c> in Hugging Face's config.json.</remarks>
public sealed record RopeScaling
{
    /// <summary>Which of the ways.</summary>
    [JsonPropertyName("rope_type")]
    public required RopeScalingKind Kind { get; init; }

    /// <summary>How many times longer texts become; at least 1.</summary>
    [JsonPropertyName("factor")]
    public required float Factor { get; init; }

    /// <summary>Llama 3 alone: a pair that turns fewer times than this in the original context is divided in full.</summary>
    [JsonPropertyName("low_freq_factor")]
    public float LowFreqFactor { get; init; }

    /// <summary>Llama 3 alone: a pair that turns more often than this in the original context is kept.</summary>
    [JsonPropertyName("high_freq_factor")]
    public float HighFreqFactor { get; init; }

    /// <summary>Llama 3 alone: positions of the context before it was lengthened.</summary>
    [JsonPropertyName("original_max_position_embeddings")]
    public int OriginalMaxSeqLen { get; init; }

    /// <summary>A pair's frequency after scaling, rounded to float32 at each step as PyTorch does.</summary>
    /// <param name="frequency">Radians per position.</param>
    public float Apply(float frequency)
    {
        if (Kind == RopeScalingKind.Linear)
            return frequency / Factor;
        var turns = OriginalMaxSeqLen / (2 * MathF.PI / frequency);
        if (turns > HighFreqFactor)
            return frequency;
        if (turns < LowFreqFactor)
            return frequency / Factor;
        var kept = (turns - LowFreqFactor) / (HighFreqFactor - LowFreqFactor);
        return (1 - kept) * (frequency / Factor) + kept * frequency;
    }

    /// <summary>The first value that makes no sense, as "name value must …"; null if there is none.</summary>
    public string? FindProblem()
    {
        if (!Enum.IsDefined(Kind))
            return $"rope_scaling {(int)Kind} must be 1 (linear) or 2 (llama3)";
        if (!(float.IsFinite(Factor) && Factor >= 1))
            return $"rope_scaling factor {Factor} must be at least 1";
        if (Kind == RopeScalingKind.Linear)
            return null;
        return !(float.IsFinite(LowFreqFactor) && LowFreqFactor > 0) ? $"rope_scaling low_freq_factor {LowFreqFactor} must be a positive number"
            : !(float.IsFinite(HighFreqFactor) && HighFreqFactor > LowFreqFactor) ? $"rope_scaling high_freq_factor {HighFreqFactor} must be above low_freq_factor {LowFreqFactor}"
            : OriginalMaxSeqLen < 1 ? $"rope_scaling original_max_position_embeddings {OriginalMaxSeqLen} must be at least 1"
            : null;
    }
}
