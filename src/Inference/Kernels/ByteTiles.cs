using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>int8 weights, as <see cref="IByteProducts.Weights"/> gives them.</summary>
/// <typeparam name="TProducts">How this processor multiplies bytes.</typeparam>
internal readonly struct ByteTiles<TProducts> : ITileProducts
    where TProducts : struct, IByteProducts
{
    public static int Size => sizeof(byte);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Start(Vector256<int> sums) => sums * -TProducts.Bias;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x) => TProducts.MultiplyAdd(sum, w, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Total(Vector256<int> sum) => sum;
}
