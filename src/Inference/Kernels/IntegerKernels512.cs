namespace LlamaFullstack.Inference.Kernels;

/// <summary>The integer kernels where AVX-512 does better: it has twice the products of 4-bit weights, though .NET 10 has none of its int8 dot products.</summary>
/// <typeparam name="TProducts">How this processor multiplies bytes.</typeparam>
/// <param name="narrow">The set for groups that are not whole registers.</param>
internal sealed unsafe class IntegerKernels512<TProducts>(IntegerKernels narrow) : IntegerKernels256<TProducts>(narrow)
    where TProducts : struct, IByteProducts
{
    public override void QuantizeForInt4(float* x, Int8Vector q)
    {
        if (!Int4Rows512.Takes(q))
        {
            base.QuantizeForInt4(x, q);
            return;
        }
        Quantize(x, q);
        Int4Rows512.Arrange(q);
    }

    public override void MatVecInt4(byte* w, Half* wScales, Int8Vector x, float* output, int rows)
    {
        if (Int4Rows512.Takes(x))
            Int4Rows512.MatVec(w, wScales, x, output, rows);
        else
            base.MatVecInt4(w, wScales, x, output, rows);
    }

    public override void MatMulInt4(byte* w, float* wScales, Int8Tile x, float* output, int rows) =>
        TileProducts512.MatMulInt4(w, wScales, x, output, rows);
}
