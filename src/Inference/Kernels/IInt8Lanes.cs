using System.Runtime.Intrinsics;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Exact sums of int8 products in a register's width.</summary>
/// <typeparam name="TVector">A register of int32 partial sums.</typeparam>
internal unsafe interface IInt8Lanes<TVector> where TVector : struct
{
    /// <summary>Groups must be a multiple of this many values.</summary>
    static abstract int Step { get; }

    /// <summary>Partial sums of Σ w[i] · x[i] over one group.</summary>
    /// <param name="w">Weights, −128 to 127, (n).</param>
    /// <param name="x">Activations, −127 to 127, (n).</param>
    /// <param name="sum">Σ x, for those who make the weights unsigned.</param>
    /// <param name="n">Group size, a multiple of <see cref="Step"/>.</param>
    static abstract TVector Group(sbyte* w, sbyte* x, int sum, int n);

    /// <summary>The total of one group's partial sums.</summary>
    static abstract int Total(TVector a);

    /// <summary>The totals of four groups' partial sums.</summary>
    static abstract Vector128<int> Totals(TVector a, TVector b, TVector c, TVector d);
}
