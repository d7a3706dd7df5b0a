using System.Runtime.Intrinsics;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>What follows a group's integer products: they are scaled, and added to the sums of the groups before.</summary>
/// <remarks>A lane of every width computes the same, so the width changes no bit.</remarks>
internal interface ITileSums
{
    /// <summary>sums[t] += float(dot[t]) · wScale · xScales[t] for 16 tokens t.</summary>
    /// <param name="dot0">The first eight tokens' products.</param>
    /// <param name="dot1">The next eight tokens'.</param>
    /// <param name="wScale">The row's scale, at any address.</param>
    /// <param name="xScales">(16).</param>
    /// <param name="sums">(16), in memory: kept in registers beside twelve integer sums they are moved about, 0.8 times as fast.</param>
    static abstract unsafe void Add(Vector256<int> dot0, Vector256<int> dot1, float* wScale, float* xScales, float* sums);
}
