using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>int8 weights as int16: for processors without VNNI, where products of signed bytes take four instructions and these two.</summary>
internal readonly struct WordTiles : ITileProducts
{
    public static int Size => sizeof(short);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Start(Vector256<int> sums) => Vector256<int>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x) => sum + Avx2.MultiplyAddAdjacent(w.AsInt16(), x.AsInt16());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Total(Vector256<int> sum) => sum;
}
