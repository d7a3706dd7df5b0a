using System.Runtime.Intrinsics;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>How a group's products with a tile of tokens are summed in registers of 32 bytes: a lane of 32 bits is a token.</summary>
internal interface ITileProducts
{
    /// <summary>Bytes of a weight as it is multiplied, and of an activation.</summary>
    static abstract int Size { get; }

    /// <summary>What a group's sums begin with.</summary>
    /// <param name="sums">Σ x of the group for eight tokens.</param>
    static abstract Vector256<int> Start(Vector256<int> sums);

    /// <summary>sum + w · x, four bytes a token.</summary>
    /// <param name="sum">From <see cref="Start"/> or an earlier call.</param>
    /// <param name="w">The same weights in every lane.</param>
    /// <param name="x">As many features of eight tokens.</param>
    static abstract Vector256<int> MultiplyAdd(Vector256<int> sum, Vector256<byte> w, Vector256<sbyte> x);

    /// <summary>The group's products, whole.</summary>
    static abstract Vector256<int> Total(Vector256<int> sum);
}
