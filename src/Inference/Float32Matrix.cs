using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>float32 weights: files of version 0 and 1.</summary>
/// <param name="weights">(rows, cols), 4-byte aligned.</param>
/// <param name="rows">Output features.</param>
/// <param name="cols">Input features.</param>
internal sealed unsafe class Float32Matrix(float* weights, int rows, int cols) : WeightMatrix(rows, cols)
{
    public override long Bytes => (long)Rows * Cols * sizeof(float);

    public override void Prepare(KernelSet kernels, Activation x)
    {
        // The values are what is multiplied.
    }

    public override void Multiply(KernelSet kernels, Activation x, float* output, Part rows) =>
        kernels.MatVec(weights + (long)rows.Start * Cols, x.Values, output + rows.Start, rows.Count, Cols);

    public override void Prepare(KernelSet kernels, BatchActivation x, int tile)
    {
    }

    public override void Unpack(KernelSet kernels, Part rows, byte* scratch)
    {
        // Rows are read where they lie: no copy of them is faster (docs/LOG.md).
    }

    public override void Multiply(KernelSet kernels, BatchActivation x, int tile, float* output, Part rows, byte* scratch, Upcoming next) =>
        kernels.MatMul(weights + (long)rows.Start * Cols, Cols, 1, x.Values(tile), output, rows.Count, Cols, next);

    public override Upcoming MemoryOf(Part rows, int part, int parts) =>
        Upcoming.Part(weights + (long)rows.Start * Cols, (long)rows.Count * Cols * sizeof(float), part, parts);

    public override void ReadRow(int row, Span<float> output) => new ReadOnlySpan<float>(weights + (long)row * Cols, Cols).CopyTo(output);
}
