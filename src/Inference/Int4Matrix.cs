using LlamaFullstack.Core.Quantization;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>4-bit weights with a float16 scale for each group of a row: files of version 3.</summary>
/// <param name="codes">(rows, cols / 2).</param>
/// <param name="scales">(rows, cols / groupSize), at any address.</param>
/// <param name="rows">Output features.</param>
/// <param name="cols">Input features; whole groups.</param>
/// <param name="groupSize">Weights that share a scale.</param>
internal sealed unsafe class Int4Matrix(byte* codes, Half* scales, int rows, int cols, int groupSize) : WeightMatrix(rows, cols)
{
    private readonly int _groups = cols / groupSize;

    public override long Bytes => Rows * ((long)Cols / 2 + _groups * sizeof(Half));

    public override void Prepare(KernelSet kernels, Activation x) => kernels.Integer.QuantizeForInt4(x.Values, x.Int8);

    public override void Multiply(KernelSet kernels, Activation x, float* output, Part rows) =>
        kernels.Integer.MatVecInt4(codes + (long)rows.Start * Cols / 2, scales + (long)rows.Start * _groups, x.Int8, output + rows.Start, rows.Count);

    public override void Prepare(KernelSet kernels, BatchActivation x, int tile) => kernels.Integer.QuantizeTileForInt4(x.Values(tile), x.Int8(tile));

    // A batch is bound by arithmetic: a few rows become a byte a weight once, and every tile of tokens is multiplied with them.
    public override void Unpack(KernelSet kernels, Part rows, byte* scratch)
    {
        kernels.Integer.UnpackInt4(codes + (long)rows.Start * Cols / 2, UnpackedCodes(scratch), rows.Count * Cols, groupSize);
        for (var i = 0; i < rows.Count * _groups; i++)
            ((float*)scratch)[i] = (float)scales[(long)rows.Start * _groups + i];
    }

    public override void Multiply(KernelSet kernels, BatchActivation x, int tile, float* output, Part rows, byte* scratch, Upcoming next) =>
        kernels.Integer.MatMulInt4(UnpackedCodes(scratch), (float*)scratch, x.Int8(tile), output, rows.Count, next);

    public override Upcoming MemoryOf(Part rows, int part, int parts) =>
        Upcoming.Part(codes + (long)rows.Start * Cols / 2, (long)rows.Count * Cols / 2, part, parts);

    public override void ReadRow(int row, Span<float> output) =>
        Int4Groups.Dequantize(new(codes + (long)row * Cols / 2, Cols / 2), new(scales + (long)row * _groups, _groups), groupSize, output);

    // Scales come first in the scratch, then codes.
    private byte* UnpackedCodes(byte* scratch) => scratch + BatchRows * _groups * sizeof(float);
}
