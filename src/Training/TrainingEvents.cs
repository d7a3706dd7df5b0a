using System.Globalization;

namespace LlamaFullstack.Training;

/// <summary>Something that happened in a run; its text is the line that a person reads.</summary>
public abstract record TrainingEvent;

/// <summary>Something worth knowing at the start.</summary>
/// <param name="Text">One line.</param>
public sealed record NoteEvent(string Text) : TrainingEvent
{
    /// <inheritdoc/>
    public override string ToString() => Text;
}

/// <summary>An update was made.</summary>
/// <param name="Iteration">Its number, from 0.</param>
/// <param name="Loss">The mean loss of its micro-batches (llama2.c shows the last one's).</param>
/// <param name="LossEma">The running mean of the losses: 0.98 of it stays at each update.</param>
/// <param name="LearningRate">The rate that it was made with.</param>
/// <param name="Elapsed">Time that it took, without evaluations.</param>
/// <param name="TokensPerSecond">Tokens learnt from in that time.</param>
/// <param name="Mfu">Model FLOPs utilisation: the share of what large matrix products reach on this machine, averaged over the last updates; -1 at first.</param>
public sealed record StepEvent(
    long Iteration, double Loss, double LossEma, double LearningRate, TimeSpan Elapsed, double TokensPerSecond, double Mfu) : TrainingEvent
{
    /// <summary>llama2.c's line.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{Iteration} | loss {Loss:F4} | lr {LearningRate:0.000000e+00} | {Elapsed.TotalMilliseconds:F2}ms | mfu {Mfu * 100:F2}%");
}

/// <summary>Both splits were evaluated.</summary>
/// <param name="Iteration">Number of updates made.</param>
/// <param name="TrainLoss">Mean loss of the training split's batches.</param>
/// <param name="ValLoss">Mean loss of the validation split's batches.</param>
/// <param name="ResidentBytes">Memory of the process.</param>
/// <param name="ManagedBytes">Of it, what .NET's collector has handed out.</param>
public sealed record EvalEvent(long Iteration, double TrainLoss, double ValLoss, long ResidentBytes, long ManagedBytes) : TrainingEvent
{
    /// <summary>llama2.c's line.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"step {Iteration}: train loss {TrainLoss:F4}, val loss {ValLoss:F4}");
}

/// <summary>A checkpoint was written.</summary>
/// <param name="Iteration">Number of updates made.</param>
/// <param name="Folder">Where it lies.</param>
public sealed record CheckpointEvent(long Iteration, string Folder) : TrainingEvent
{
    /// <summary>llama2.c's line.</summary>
    public override string ToString() => $"saving checkpoint to {Folder}";
}

/// <summary>The model wrote a text of its own, after an evaluation.</summary>
/// <param name="Iteration">Number of updates made.</param>
/// <param name="Text">The text.</param>
public sealed record SampleEvent(long Iteration, string Text) : TrainingEvent
{
    /// <inheritdoc/>
    public override string ToString() => $"sample at {Iteration}: {Text.ReplaceLineEndings(" ")}";
}
