using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>int8 products, thirty-two at a time, with AVX2.</summary>
internal readonly unsafe struct Int8LanesAvx2 : IInt8Lanes<Vector256<int>>
{
    public static int Step => Vector256<sbyte>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Group(sbyte* w, sbyte* x, int sum, int n)
    {
        var total = Vector256<int>.Zero;
        for (var i = 0; i < n; i += Vector256<sbyte>.Count)
        {
            // The instruction multiplies unsigned by signed: w · x = |w| · (x with w's sign). Two products fit an int16: 2 · 128 · 127 = 32,512.
            var wi = Vector256.Load(w + i);
            var pairs = Avx2.MultiplyAddAdjacent(Avx2.Abs(wi), Avx2.Sign(Vector256.Load(x + i), wi));
            total += Avx2.MultiplyAddAdjacent(pairs, Vector256<short>.One);
        }
        return total;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Total(Vector256<int> a) => Vector256.Sum(a);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Totals(Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d)
    {
        var halves = Avx2.HorizontalAdd(Avx2.HorizontalAdd(a, b), Avx2.HorizontalAdd(c, d));
        return halves.GetLower() + halves.GetUpper();
    }
}
