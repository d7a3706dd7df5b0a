using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>A matrix of weights in a mapped file, whatever type its numbers have. The forward pass knows no other.</summary>
/// <param name="rows">Output features.</param>
/// <param name="cols">Input features.</param>
internal abstract unsafe class WeightMatrix(int rows, int cols)
{
    /// <summary>Rows that a batch takes at once: whole fours, sixes and eights, as products take them. Their weights stay near while tile after tile of tokens is multiplied with them.</summary>
    public const int BatchRows = 24;

    /// <summary>The same for a model that is float32 throughout.</summary>
    public const int Float32BatchRows = 2 * BatchRows;

    /// <summary>Output features.</summary>
    protected int Rows { get; } = rows;

    /// <summary>Input features.</summary>
    protected int Cols { get; } = cols;

    /// <summary>Bytes that a product with all rows reads: the weights and their scales.</summary>
    public abstract long Bytes { get; }

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

    /// <summary>Brings rows, once for every tile of a batch, into the form that their products take.</summary>
    /// <param name="kernels">Who computes.</param>
    /// <param name="rows">The rows, <see cref="BatchRows"/> at the most where anything is written.</param>
    /// <param name="scratch">Where to: <see cref="ScratchBytes"/> of the caller's own.</param>
    public abstract void Unpack(KernelSet kernels, Part rows, byte* scratch);

    /// <summary><see cref="Multiply(KernelSet, Activation, float*, Part)"/> for every token of a tile.</summary>
    /// <param name="kernels">Who computes.</param>
    /// <param name="x">Prepared activations, (cols, Tile).</param>
    /// <param name="tile">The tile to multiply with.</param>
    /// <param name="output">Those rows alone, (rows.Count, Tile).</param>
    /// <param name="rows">The rows to compute.</param>
    /// <param name="scratch">The same rows from <see cref="Unpack"/>.</param>
    /// <param name="next">What to ask the memory for meanwhile.</param>
    public abstract void Multiply(KernelSet kernels, BatchActivation x, int tile, float* output, Part rows, byte* scratch, Upcoming next);

    /// <summary>Where a part of some rows' weights lies.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="part">Which part, from 0.</param>
    /// <param name="parts">How many there are.</param>
    public abstract Upcoming MemoryOf(Part rows, int part, int parts);

    /// <summary>Memory that <see cref="Unpack"/> needs for a matrix of that width.</summary>
    public static long ScratchBytes(int cols) => BatchRows * (long)cols * (sizeof(byte) + sizeof(float));

    /// <summary>Copies a row as float32: the embedding of a token.</summary>
    public abstract void ReadRow(int row, Span<float> output);
}
