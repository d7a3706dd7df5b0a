using LlamaFullstack.Core.Quantization;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>int8 weights with a float32 scale for each group of a row: files of version 2.</summary>
/// <param name="weights">(rows, cols).</param>
/// <param name="scales">(rows, cols / groupSize), at any address.</param>
/// <param name="cols">Input features; whole groups.</param>
/// <param name="groupSize">Weights that share a scale.</param>
internal sealed unsafe class Int8Matrix(sbyte* weights, float* scales, int cols, int groupSize) : WeightMatrix(cols)
{
    private readonly int _groups = cols / groupSize;

    public override void Prepare(KernelSet kernels, Activation x) => kernels.Integer.Quantize(x.Values, x.Int8);

    public override void Multiply(KernelSet kernels, Activation x, float* output, Part rows) =>
        kernels.Integer.MatVecInt8(weights + (long)rows.Start * Cols, scales + (long)rows.Start * _groups, x.Int8, output + rows.Start, rows.Count);

    public override void Prepare(KernelSet kernels, BatchActivation x, int tile) => kernels.Integer.QuantizeTile(x.Values(tile), x.Int8(tile));

    public override void Multiply(KernelSet kernels, BatchActivation x, Part tiles, BatchActivation output, Part rows, Part next, byte* scratch)
    {
        kernels.Integer.ArrangeInt8(weights + (long)rows.Start * Cols, scratch, rows.Count * Cols);
        for (var tile = tiles.Start; tile < tiles.End; tile++)
        {
            Prefetching.Part(weights + (long)next.Start * Cols, (long)next.Count * Cols, tile - tiles.Start, tiles.Count);
            kernels.Integer.MatMulInt8(scratch, scales + (long)rows.Start * _groups, x.Int8(tile), output.Values(tile, rows.Start), rows.Count);
        }
    }

    public override void ReadRow(int row, Span<float> output) =>
        Int8Groups.Dequantize(new(weights + (long)row * Cols, Cols), new(scales + (long)row * _groups, _groups), groupSize, output);
}
