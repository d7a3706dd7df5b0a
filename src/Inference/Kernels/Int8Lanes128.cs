using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>int8 products, sixteen at a time: Arm's dot product where there is one, else code that any processor runs.</summary>
internal readonly unsafe struct Int8Lanes128 : IInt8Lanes<Vector128<int>>
{
    public static int Step => Vector128<sbyte>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Group(sbyte* w, sbyte* x, int sum, int n)
    {
        var total = Vector128<int>.Zero;
        for (var i = 0; i < n; i += Vector128<sbyte>.Count)
        {
            var (wi, xi) = (Vector128.Load(w + i), Vector128.Load(x + i));
            if (Dp.IsSupported)
            {
                total = Dp.DotProduct(total, wi, xi);
            }
            else
            {
                // Two products fit an int16: 2 · 128 · 127 = 32,512.
                var pairs = Vector128.WidenLower(wi) * Vector128.WidenLower(xi) + Vector128.WidenUpper(wi) * Vector128.WidenUpper(xi);
                total += Vector128.WidenLower(pairs) + Vector128.WidenUpper(pairs);
            }
        }
        return total;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Total(Vector128<int> a) => Vector128.Sum(a);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Totals(Vector128<int> a, Vector128<int> b, Vector128<int> c, Vector128<int> d) =>
        Vector128.Create(Total(a), Total(b), Total(c), Total(d));
}
