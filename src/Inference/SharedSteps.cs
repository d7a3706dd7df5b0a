namespace LlamaFullstack.Inference;

/// <summary>Hands out the items of each step of a job to whichever worker comes next. Knows nothing of what they are.</summary>
/// <remarks>A worker that lost its core to another program takes fewer, and the others do not wait for it: what fixed shares cannot do.</remarks>
/// <param name="steps">Steps of the job, one after the other.</param>
/// <param name="queues">Queues of items that each step has.</param>
internal sealed class SharedSteps(int steps, int queues)
{
    // A queue's counters lie on cache lines of its own: who takes from it alone does not wait for a line that others write.
    private const int Gap = 128 / sizeof(int);

    private readonly int[] _taken = new int[queues * (steps + Gap)];

    /// <summary>Begins the job anew. No worker may be in it.</summary>
    public void Reset() => Array.Clear(_taken);

    /// <summary>Takes the next item of a step's queue.</summary>
    /// <param name="step">The step.</param>
    /// <param name="queue">Which of its queues.</param>
    /// <param name="count">The queue's items.</param>
    /// <param name="item">0 to count − 1.</param>
    /// <returns>False if none is left.</returns>
    public bool TryTake(int step, int queue, int count, out int item)
    {
        item = Interlocked.Increment(ref _taken[queue * (steps + Gap) + step]) - 1;
        return item < count;
    }
}
