using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>A share of rows.</summary>
/// <param name="Start">First row.</param>
/// <param name="Count">Number of rows; may be 0.</param>
internal readonly record struct Part(int Start, int Count)
{
    /// <summary>Past the last row.</summary>
    public int End => Start + Count;

    /// <summary>Share <paramref name="share"/> of <paramref name="total"/>, in whole multiples of <paramref name="block"/>; the last one has what is left over as well.</summary>
    /// <remarks>So that no share is smaller than a block unless the whole is, or it is empty: what is narrower than a register is computed by other code.</remarks>
    public static Part Of(int total, int share, int shares, int block)
    {
        var blocks = Math.Max(1, total / block);
        var start = (int)((long)blocks * share / shares) * block;
        var end = (int)((long)blocks * (share + 1) / shares);
        return new Part(start, (end == blocks ? total : end * block) - start);
    }

    /// <summary>A share of a matrix's rows; see <see cref="KernelSet.RowBlock"/>.</summary>
    public static Part OfRows(int total, int share, int shares) => Of(total, share, shares, KernelSet.RowBlock);
}
