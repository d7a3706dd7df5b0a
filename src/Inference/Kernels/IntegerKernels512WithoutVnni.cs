namespace LlamaFullstack.Inference.Kernels;

/// <summary>AVX-512 on processors without AVX-VNNI, such as AMD's Zen 4 and Intel's servers before Sapphire Rapids; .NET 10 has no other VNNI.</summary>
/// <typeparam name="THints">What suits this processor's memory system.</typeparam>
/// <param name="narrow">The set for groups that are not whole registers.</param>
internal sealed unsafe class IntegerKernels512WithoutVnni<THints>(IntegerKernels narrow) : IntegerKernels512<Avx2Products, THints>(narrow)
    where THints : struct, IHints
{
    public override void ArrangeInt8(sbyte* w, byte* to, int n) => WordTiles512.Arrange(w, (short*)to, n);

    public override void MatMulInt8(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next) =>
        WordTiles512.MatMul((short*)w, wScales, x, output, rows, next);
}
