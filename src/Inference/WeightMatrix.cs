using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>A matrix of weights in a mapped file, whatever type its numbers have. The forward pass knows no other.</summary>
/// <param name="cols">Input features.</param>
internal abstract unsafe class WeightMatrix(int cols)
{
    /// <summary>Rows that a batch takes at once: whole fours, sixes and eights, as products take them. Their weights stay near while tile after tile of tokens is multiplied with them.</summary>
    public const int BatchRows = 24;

    /// <summary>Input features.</summary>
    protected int Cols { get; } = cols;

    /// <summary>Brings an activation, once its float32 values are there, into the form that this matrix multiplies with.</summary>
    public abstract void Prepare(KernelSet kernels, Activation x);

    /// <summary>output[r] = Σ W[r][c] · x[c] for the rows of <paramref name="rows"/>.</summary>
    /// <param name="kernels">Who computes.</param>
    /// <param name="x">A prepared activation, (cols).</param>
    /// <param name="output">(rows of the whole matrix).</param>
    /// <param name="rows">The rows to compute.</param>
    public abstract void Multiply(KernelSet kernels, Activation x, float* output, Part rows);

    /// <summary><see cref="Prepare(KernelSet, Activation)"/> for a tile of tokens.</summary>
    public abstract void Prepare(KernelSet kernels, BatchActivation x, int tile);

    /// <summary><see cref="Multiply(KernelSet, Activation, float*, Part)"/> for every token of a batch.</summary>
    /// <param name="kernels">Who computes.</param>
    /// <param name="x">Prepared activations, (tiles, cols, Tile).</param>
    /// <param name="tiles">The tiles to multiply with.</param>
    /// <param name="output">Activations of as many tiles, (rows of the whole matrix).</param>
    /// <param name="rows">The rows to compute, <see cref="BatchRows"/> at the most.</param>
    /// <param name="next">The rows that the caller will compute next: they are brought near meanwhile.</param>
    /// <param name="scratch">Memory of the caller's own: <see cref="ScratchBytes"/>.</param>
    public abstract void Multiply(KernelSet kernels, BatchActivation x, Part tiles, BatchActivation output, Part rows, Part next, byte* scratch);

    /// <summary>Memory that a batch needs to unpack or arrange weights of a matrix of that width.</summary>
    public static long ScratchBytes(int cols) => BatchRows * (long)cols * (sizeof(byte) + sizeof(float));

    /// <summary>Copies a row as float32: the embedding of a token.</summary>
    public abstract void ReadRow(int row, Span<float> output);
}
