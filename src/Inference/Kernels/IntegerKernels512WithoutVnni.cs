namespace LlamaFullstack.Inference.Kernels;

/// <summary>AVX-512 on processors without AVX-VNNI, such as AMD's Zen 4 and Intel's servers before Sapphire Rapids; .NET 10 has no other VNNI.</summary>
/// <param name="narrow">The set for groups that are not whole registers.</param>
internal sealed unsafe class IntegerKernels512WithoutVnni(IntegerKernels narrow) : IntegerKernels512<Avx2Products>(narrow)
{
    public override void MatVecInt8(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        var fours = x.GroupSize is 32 or 64 ? rows / 4 * 4 : 0;
        if (x.GroupSize == 32)
            Int8Rows512<GroupsOf32>.MatVec(w, wScales, x, output, fours);
        else if (x.GroupSize == 64)
            Int8Rows512<GroupsOf64>.MatVec(w, wScales, x, output, fours);
        base.MatVecInt8(w + (long)fours * x.Length, wScales + (long)fours * x.Groups, x, output + fours, rows - fours);
    }

    public override void ArrangeInt8(sbyte* w, byte* to, int n) => WordTiles512.Arrange(w, (short*)to, n);

    public override void MatMulInt8(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next) =>
        WordTiles512.MatMul((short*)w, wScales, x, output, rows, next);
}
