using LlamaFullstack.Core.Quantization;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>4-bit weights with a float16 scale for each group of a row: files of version 3.</summary>
/// <param name="codes">(rows, cols / 2).</param>
/// <param name="scales">(rows, cols / groupSize), at any address.</param>
/// <param name="cols">Input features; whole groups.</param>
/// <param name="groupSize">Weights that share a scale.</param>
internal sealed unsafe class Int4Matrix(byte* codes, Half* scales, int cols, int groupSize) : WeightMatrix(cols)
{
    private readonly int _groups = cols / groupSize;

    public override void Prepare(KernelSet kernels, Activation x) => kernels.Integer.QuantizeForInt4(x.Values, x.Int8);

    public override void Multiply(KernelSet kernels, Activation x, float* output, Part rows) =>
        kernels.Integer.MatVecInt4(codes + (long)rows.Start * Cols / 2, scales + (long)rows.Start * _groups, x.Int8, output + rows.Start, rows.Count);

    public override void Prepare(KernelSet kernels, BatchActivation x, int tile) => kernels.Integer.QuantizeTile(x.Values(tile), x.Int8(tile));

    // A batch is bound by arithmetic: a few rows become a byte a weight once, and every tile of tokens is multiplied with them.
    public override void Multiply(KernelSet kernels, BatchActivation x, Part tiles, BatchActivation output, Part rows, byte* scratch)
    {
        var unpackedScales = (float*)scratch;
        var unpacked = (byte*)(unpackedScales + BatchRows * _groups);
        for (var row = rows.Start; row < rows.End; row += BatchRows)
        {
            var count = Math.Min(BatchRows, rows.End - row);
            kernels.Integer.UnpackInt4(codes + (long)row * Cols / 2, unpacked, count * Cols, groupSize);
            for (var i = 0; i < count * _groups; i++)
                unpackedScales[i] = (float)scales[(long)row * _groups + i];
            for (var tile = tiles.Start; tile < tiles.End; tile++)
                kernels.Integer.MatMulInt4(unpacked, unpackedScales, x.Int8(tile), output.Values(tile, row), count);
        }
    }

    public override void ReadRow(int row, Span<float> output) =>
        Int4Groups.Dequantize(new(codes + (long)row * Cols / 2, Cols / 2), new(scales + (long)row * _groups, _groups), groupSize, output);
}
