using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>A worker's share of rows: fixed when the engine starts, so that each worker meets the same weights at every token.</summary>
/// <param name="Start">First row.</param>
/// <param name="Count">Number of rows; may be 0.</param>
internal readonly record struct Part(int Start, int Count)
{
    /// <summary>Past the last row.</summary>
    public int End => Start + Count;

    /// <summary>Worker <paramref name="worker"/>'s share of <paramref name="total"/>, in whole multiples of <paramref name="block"/> but for the last.</summary>
    public static Part Of(int total, int worker, int workers, int block)
    {
        var blocks = (total + block - 1) / block;
        var start = Math.Min(total, (int)((long)blocks * worker / workers) * block);
        var end = Math.Min(total, (int)((long)blocks * (worker + 1) / workers) * block);
        return new Part(start, end - start);
    }

    /// <summary>A share of a matrix's rows; see <see cref="KernelSet.RowBlock"/>.</summary>
    public static Part OfRows(int total, int worker, int workers) => Of(total, worker, workers, KernelSet.RowBlock);
}
