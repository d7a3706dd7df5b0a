namespace LlamaFullstack.Training;

/// <summary>
/// The factor that a loss in float16 is multiplied with, so that its small gradients do not vanish (Micikevicius et al., Mixed Precision
/// Training, 2018). Knows nothing about tensors.
/// </summary>
/// <remarks>The rules and constants of PyTorch's GradScaler. The factor is a power of two, so that taking it out again is exact.</remarks>
/// <param name="Value">The factor.</param>
/// <param name="Updates">Updates made with it without an overflow.</param>
public sealed record LossScale(double Value, int Updates)
{
    private const double Growth = 2;
    private const double Backoff = 0.5;
    private const int GrowthInterval = 2000; // updates

    /// <summary>What a run begins with.</summary>
    public static LossScale Initial { get; } = new(65536, 0);

    /// <summary>The scale of the next update: half where a gradient overflowed, twice after 2,000 updates in which none did.</summary>
    public LossScale Next(bool overflowed) =>
        overflowed ? new(Value * Backoff, 0)
            : Updates + 1 == GrowthInterval ? new(Value * Growth, 0)
            : this with { Updates = Updates + 1 };
}
