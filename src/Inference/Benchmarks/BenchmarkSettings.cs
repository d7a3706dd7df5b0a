using System.Runtime.CompilerServices;

namespace LlamaFullstack.Inference.Benchmarks;

/// <summary>What <see cref="Benchmark"/> measures.</summary>
public sealed record BenchmarkSettings
{
    /// <summary>Prompt length where none is given and the model's context has room for it.</summary>
    public const int DefaultPromptTokens = 256;

    /// <summary>Tokens decoded where no number is given and the model's context has room for them.</summary>
    public const int DefaultDecodeTokens = 64;

    /// <summary>Threads; null for the engine's own choice.</summary>
    public int? Threads { get; init; }

    /// <summary><see cref="EngineOptions.Strict"/>.</summary>
    public bool Strict { get; init; }

    /// <summary>Tokens of the prompt that is read from position 0 on; null for <see cref="DefaultPromptTokens"/>, or the whole context where that is shorter.</summary>
    /// <exception cref="ArgumentException">Below 1.</exception>
    public int? PromptTokens { get; init => field = value is null ? null : AtLeast(1, value.Value); }

    /// <summary>Tokens decoded, one by one, in a round; a round repeats them until 0.2 seconds have passed. Null for <see cref="DefaultDecodeTokens"/>, or the rest of the context where that is shorter.</summary>
    /// <exception cref="ArgumentException">Below 1.</exception>
    public int? DecodeTokens { get; init => field = value is null ? null : AtLeast(1, value.Value); }

    /// <summary>Where decoding begins: attention reads the keys and values of all positions before.</summary>
    /// <exception cref="ArgumentException">Negative.</exception>
    public int Position { get; init => field = AtLeast(0, value); }

    /// <summary>Rounds; the median of them counts.</summary>
    /// <exception cref="ArgumentException">Below 1.</exception>
    public int Repeats { get; init => field = AtLeast(1, value); } = 5;

    private static int AtLeast(int least, int value, [CallerMemberName] string name = "") =>
        value >= least ? value : throw new ArgumentOutOfRangeException(name, $"{name} {value}: must be at least {least}.");
}
