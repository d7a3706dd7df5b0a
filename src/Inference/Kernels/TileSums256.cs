using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Two registers of 32 bytes, one after the other.</summary>
internal readonly struct TileSums256 : ITileSums
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe void Add(Vector256<int> dot0, Vector256<int> dot1, float* wScale, float* xScales, float* sums)
    {
        var scale = Vector256.Create(Unsafe.ReadUnaligned<float>(wScale));
        Fma.MultiplyAdd(Vector256.ConvertToSingle(dot0), scale * Vector256.Load(xScales), Vector256.Load(sums)).Store(sums);
        Fma.MultiplyAdd(Vector256.ConvertToSingle(dot1), scale * Vector256.Load(xScales + 8), Vector256.Load(sums + 8)).Store(sums + 8);
    }
}
