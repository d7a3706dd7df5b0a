using LlamaFullstack.Core.Quantization;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>int8 weights with a float32 scale for each group of a row: files of version 2.</summary>
/// <param name="weights">(rows, cols).</param>
/// <param name="scales">(rows, cols / groupSize), at any address.</param>
/// <param name="rows">Output features.</param>
/// <param name="cols">Input features; whole groups.</param>
/// <param name="groupSize">Weights that share a scale.</param>
internal sealed unsafe class Int8Matrix(sbyte* weights, float* scales, int rows, int cols, int groupSize) : WeightMatrix(rows, cols)
{
    private readonly int _groups = cols / groupSize;

    public override long Bytes => Rows * ((long)Cols + _groups * sizeof(float));

    public override void Prepare(KernelSet kernels, Activation x) => kernels.Integer.Quantize(x.Values, x.Int8);

    public override void Multiply(KernelSet kernels, Activation x, float* output, Part rows) =>
        kernels.Integer.MatVecInt8(weights + (long)rows.Start * Cols, scales + (long)rows.Start * _groups, x.Int8, output + rows.Start, rows.Count);

    public override void Prepare(KernelSet kernels, BatchActivation x, int tile) => kernels.Integer.QuantizeTile(x.Values(tile), x.Int8(tile));

    public override void Unpack(KernelSet kernels, Part rows, byte* scratch) =>
        kernels.Integer.ArrangeInt8(weights + (long)rows.Start * Cols, scratch, rows.Count * Cols);

    public override void Multiply(KernelSet kernels, BatchActivation x, int tile, float* output, Part rows, byte* scratch, Upcoming next) =>
        kernels.Integer.MatMulInt8(scratch, scales + (long)rows.Start * _groups, x.Int8(tile), output, rows.Count, next);

    public override Upcoming MemoryOf(Part rows, int part, int parts) =>
        Upcoming.Part(weights + (long)rows.Start * Cols, (long)rows.Count * Cols, part, parts);

    public override void ReadRow(int row, Span<float> output) =>
        Int8Groups.Dequantize(new(weights + (long)row * Cols, Cols), new(scales + (long)row * _groups, _groups), groupSize, output);
}
