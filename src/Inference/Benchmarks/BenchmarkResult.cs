namespace LlamaFullstack.Inference.Benchmarks;

/// <summary>What was measured: medians of rounds.</summary>
public sealed record BenchmarkResult
{
    /// <summary>What the weights are stored as: fp32, int8 or int4.</summary>
    public required string WeightType { get; init; }

    /// <summary>Bytes of weights that a token reads.</summary>
    public required long WeightBytesPerToken { get; init; }

    /// <summary>Threads that ran.</summary>
    public required int Threads { get; init; }

    /// <summary>The kernels' name.</summary>
    public required string Kernels { get; init; }

    /// <summary>Rounds.</summary>
    public required int Repeats { get; init; }

    /// <summary>Length of the prompt.</summary>
    public required int PromptTokens { get; init; }

    /// <summary>Multiply-adds that reading the prompt takes.</summary>
    public required long PromptMultiplyAdds { get; init; }

    /// <summary>Tokens of the prompt read in a second.</summary>
    public required double PromptTokensPerSecond { get; init; }

    /// <summary>float32 multiply-adds a second that as many threads do in registers.</summary>
    public required double PeakMultiplyAddsPerSecond { get; init; }

    /// <summary>Where decoding began.</summary>
    public required int Position { get; init; }

    /// <summary>Tokens decoded from there on.</summary>
    public required int DecodeTokens { get; init; }

    /// <summary>Tokens decoded in a second, the choice of the likeliest included.</summary>
    public required double DecodeTokensPerSecond { get; init; }

    /// <summary>Bytes a second that as many threads read from the same weights and do nothing else with.</summary>
    public required double ReadBytesPerSecond { get; init; }

    /// <summary>Memory of this process at the end: the model's pages, the keys and values, and the program.</summary>
    public required long ResidentBytes { get; init; }

    /// <summary>Multiply-adds a second while the prompt is read.</summary>
    public double PromptMultiplyAddsPerSecond => PromptMultiplyAdds * PromptTokensPerSecond / PromptTokens;

    /// <summary>How near the prompt comes to its limit in float32; products of int8 may pass it.</summary>
    public double ShareOfPeak => PromptMultiplyAddsPerSecond / PeakMultiplyAddsPerSecond;

    /// <summary>Milliseconds a decoded token.</summary>
    public double DecodeMilliseconds => 1000 / DecodeTokensPerSecond;

    /// <summary>Bytes of weights that decoding reads in a second.</summary>
    public double WeightBytesPerSecond => WeightBytesPerToken * DecodeTokensPerSecond;

    /// <summary>How near decoding comes to its limit: <see cref="WeightBytesPerSecond"/> / <see cref="ReadBytesPerSecond"/>.</summary>
    public double ShareOfBandwidth => WeightBytesPerSecond / ReadBytesPerSecond;
}
