using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>4-bit weights that have been unpacked, a code of 0 to 15 a byte: unsigned already, and 8 too large.</summary>
/// <typeparam name="TProducts">How this processor multiplies bytes.</typeparam>
internal readonly struct CodeTiles<TProducts> : ITileProducts
    where TProducts : struct, IByteProducts
{
    public static int Size => sizeof(byte);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Start(Vector256<int> sums) => sums * -Int4Groups.Offset;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x) => TProducts.MultiplyAddCodes(sum, w, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Total(Vector256<int> sum) => sum;
}
