using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>int8 products, thirty-two at a time, with AVX-VNNI: four products and their sum in one instruction.</summary>
internal readonly unsafe struct Int8LanesAvxVnni : IInt8Lanes<Vector256<int>>
{
    public static int Step => Vector256<sbyte>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Group(sbyte* w, sbyte* x, int sum, int n)
    {
        // The instruction multiplies unsigned by signed. w ^ 0x80 is w + 128 unsigned, so the sum begins at −128 · Σ x.
        var total = Vector256.CreateScalar(-128 * sum);
        for (var i = 0; i < n; i += Vector256<sbyte>.Count)
        {
            var unsigned = Vector256.Load((byte*)w + i) ^ Vector256.Create((byte)0x80);
            total = AvxVnni.MultiplyWideningAndAdd(total, unsigned, Vector256.Load(x + i));
        }
        return total;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Total(Vector256<int> a) => Int8LanesAvx2.Total(a);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Totals(Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d) =>
        Int8LanesAvx2.Totals(a, b, c, d);
}
