namespace LlamaFullstack.Inference.Kernels;

/// <summary>The integer kernels where AVX-512 does better: it has twice the products of 4-bit weights, though .NET 10 has none of its int8 dot products.</summary>
/// <typeparam name="TProducts">How this processor multiplies bytes.</typeparam>
/// <param name="narrow">The set for groups that are not whole registers.</param>
internal sealed unsafe class IntegerKernels512<TProducts>(IntegerKernels narrow) : IntegerKernels256<TProducts>(narrow)
    where TProducts : struct, IByteProducts
{
    public override void MatMulInt4(byte* w, float* wScales, Int8Tile x, float* output, int rows) =>
        TileProducts512.MatMulInt4(w, wScales, x, output, rows);
}
