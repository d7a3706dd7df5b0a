using System.Runtime.CompilerServices;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>exp for a register of any width. .NET's own is a call for every register, and slow until the runtime has compiled it twice.</summary>
/// <typeparam name="TLanes">float32 in this width.</typeparam>
/// <typeparam name="TVector">Its register.</typeparam>
internal static class Exponential<TLanes, TVector>
    where TLanes : struct, ILanes<TVector>
    where TVector : struct
{
    // Above, exp is infinite in float32. Below, it has fewer digits than float32 otherwise has, and to make or multiply such a number takes
    // many times as long as another (docs/LOG.md): it is 0 here.
    private const float Most = 110f;
    private const float Least = -87f;

    // The sum of this and a number up to 2^22 has no room for a fraction: the number is rounded.
    private const float Rounder = 12582912f;

    // ln 2 in two parts: the first has so few digits that its product with a whole number is exact.
    private const float Log2 = 0.693145751953125f;
    private const float Log2Rest = 1.42860677e-6f;

    /// <summary>exp(v), within two ulps; 0 below −87 and for −∞, ∞ for ∞, NaN for NaN.</summary>
    /// <remarks>exp(v) = 2ⁿ · exp(r) with n = round(v / ln 2) and |r| ≤ ln 2 / 2, where Cephes' polynomial of degree 7 is within 1e-7.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Of(TVector v)
    {
        var asked = v;
        v = TLanes.Clamp(v, Least, Most);
        var n = TLanes.Subtract(TLanes.MultiplyAdd(v, TLanes.Broadcast(1.44269504f), TLanes.Broadcast(Rounder)), TLanes.Broadcast(Rounder));
        var r = TLanes.MultiplyAdd(n, TLanes.Broadcast(-Log2), v);
        r = TLanes.MultiplyAdd(n, TLanes.Broadcast(-Log2Rest), r);
        var p = TLanes.Broadcast(1.9875691500e-4f);
        p = TLanes.MultiplyAdd(p, r, TLanes.Broadcast(1.3981999507e-3f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Broadcast(8.3334519073e-3f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Broadcast(4.1665795894e-2f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Broadcast(1.6666665459e-1f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Broadcast(5.0000001201e-1f));
        p = TLanes.MultiplyAdd(p, TLanes.Multiply(r, r), r);
        return TLanes.ZeroWhereBelow(TLanes.TimesPowerOfTwo(TLanes.Add(p, TLanes.Broadcast(1f)), n), asked, Least);
    }
}
