namespace LlamaFullstack.Inference;

/// <summary>Hands out the items of each step of a job to whichever worker comes next. Knows nothing of what they are.</summary>
/// <remarks>A worker that lost its core to another program takes fewer, and the others do not wait for it: what fixed shares cannot do.</remarks>
/// <param name="steps">Steps of the job, one after the other.</param>
internal sealed class SharedSteps(int steps)
{
    private readonly int[] _taken = new int[steps];

    /// <summary>Begins the job anew. No worker may be in it.</summary>
    public void Reset() => Array.Clear(_taken);

    /// <summary>Takes the next item of a step.</summary>
    /// <param name="step">The step.</param>
    /// <param name="count">Its items.</param>
    /// <param name="item">0 to count − 1.</param>
    /// <returns>False if none is left.</returns>
    public bool TryTake(int step, int count, out int item)
    {
        item = Interlocked.Increment(ref _taken[step]) - 1;
        return item < count;
    }
}
