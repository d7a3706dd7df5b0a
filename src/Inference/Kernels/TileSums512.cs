using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Both registers joined to one of 64 bytes: scaling has half the instructions, 1.1 times in groups of 32 (docs/LOG.md).</summary>
internal readonly struct TileSums512 : ITileSums
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe void Add(Vector256<int> dot0, Vector256<int> dot1, float* wScale, float* xScales, float* sums)
    {
        var scales = Vector512.Create(Unsafe.ReadUnaligned<float>(wScale)) * Vector512.Load(xScales);
        Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Lanes512.Join(dot0, dot1)), scales, Vector512.Load(sums)).Store(sums);
    }
}
