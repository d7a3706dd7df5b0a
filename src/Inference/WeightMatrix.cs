using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>A matrix of weights in a mapped file, whatever type its numbers have. The forward pass knows no other.</summary>
/// <param name="cols">Input features.</param>
internal abstract unsafe class WeightMatrix(int cols)
{
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

    /// <summary>Copies a row as float32: the embedding of a token.</summary>
    public abstract void ReadRow(int row, Span<float> output);
}
