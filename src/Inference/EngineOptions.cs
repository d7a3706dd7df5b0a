using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>How to run a model; none of it changes a float32 result beyond rounding, and threads change nothing at all.</summary>
public sealed record EngineOptions
{
    /// <summary>Threads at most.</summary>
    public const int MaxThreads = 1024;

    private readonly int? _threads;

    /// <summary>Threads to run on; null chooses by the model's size and the processor's cores.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Below 1 or above 1,024.</exception>
    public int? Threads
    {
        get => _threads;
        init => _threads = value is null or (>= 1 and <= MaxThreads)
            ? value
            : throw new ArgumentOutOfRangeException(nameof(Threads), $"{value} threads: must be between 1 and {MaxThreads}.");
    }

    /// <summary>The kernels to use; null for what the processor does best, or what <see cref="KernelSets.Variable"/> says.</summary>
    public KernelSet? Kernels { get; init; }

    /// <summary>Whether to give the very bits that llama2.c gives when its compiler may not reorder or fuse its sums.</summary>
    /// <remarks>Costs little with int8 weights and much with float32 ones. Prompts are then read token by token, and <see cref="Kernels"/> does not count.</remarks>
    public bool Strict { get; init; }

    /// <summary>Whether prompts are read many tokens at once; false computes every token by itself, as llama2.c does.</summary>
    public bool BatchPrompts { get; init; } = true;
}
