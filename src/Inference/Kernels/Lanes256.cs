using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Floats = System.Runtime.Intrinsics.Vector256<float>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Eight numbers at a time: AVX2 with FMA.</summary>
internal readonly unsafe struct Lanes256 : ILanes<Floats>
{
    public static int Count => Floats.Count;

    public static int Registers => 16;

    public static Floats Zero => Floats.Zero;

    // 8 lanes of nothing, then 8 of everything: read from index n, the last n lanes are kept.
    private static ReadOnlySpan<int> Masks =>
    [
        0, 0, 0, 0, 0, 0, 0, 0,
        -1, -1, -1, -1, -1, -1, -1, -1,
    ];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Load(float* from) => Vector256.Load(from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Floats v, float* to) => Vector256.Store(v, to);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Broadcast(float value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Add(Floats a, Floats b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Subtract(Floats a, Floats b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Multiply(Floats a, Floats b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats MultiplyAdd(Floats a, Floats b, Floats c) => Vector256.MultiplyAddEstimate(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Divide(Floats a, Floats b) => a / b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Max(Floats a, Floats b) => Vector256.Max(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats MaxOfNumbers(Floats a, Floats b) => Vector256.MaxNative(a, b);

    // v comes second: x86 gives the second where either is NaN, and Arm NaN.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Clamp(Floats v, float low, float high) =>
        Vector256.MaxNative(Vector256.Create(low), Vector256.MinNative(Vector256.Create(high), v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats ZeroWhereBelow(Floats v, Floats by, float least) => Vector256.AndNot(v, Vector256.LessThan(by, Vector256.Create(least)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Sqrt(Floats v) => Vector256.Sqrt(v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats TimesPowerOfTwo(Floats v, Floats n)
    {
        // In two steps: 2ⁿ itself may be beyond float32 where the product is not.
        var whole = Vector256.ConvertToInt32(n);
        var half = whole >> 1;
        return v * PowerOfTwo(half) * PowerOfTwo(whole - half);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats SwapPairs(Floats v) => Vector256.Shuffle(v, Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats KeepLast(Floats v, int count) =>
        v & Vector256.LoadUnsafe(ref MemoryMarshal.GetReference(Masks), (nuint)count).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Floats v) => Lanes128.Sum(v.GetLower() + v.GetUpper());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(Floats v) => Lanes128.MaxLane(Vector128.Max(v.GetLower(), v.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int IndexOf(Floats v, float value) =>
        BitOperations.TrailingZeroCount(Vector256.ExtractMostSignificantBits(Vector256.Equals(v, Vector256.Create(value))));

    /// <summary>Stores whole numbers of −128 to 127 as int8.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreInt8(Floats v, sbyte* to)
    {
        var integers = Vector256.ConvertToInt32Native(v);
        var shorts = Vector128.Narrow(integers.GetLower(), integers.GetUpper());
        Vector128.Narrow(shorts, shorts).GetLower().Store(to);
    }

    /// <summary>Whole numbers, half away from zero; for |v| below 2²².</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Round(Floats v) => Vector256.Truncate(AwayFromZero(v));

    /// <summary>A number that cutting off rounds half away from zero.</summary>
    /// <remarks>0.49999997 is the number before 0.5: adding it carries x.5 over, and nothing that is below.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats AwayFromZero(Floats v) => v + Vector256.CopySign(Vector256.Create(0.49999997f), v);

    /// <summary>Eight float16 numbers as float32; exact.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats ToSingle(Half* from) => ToSingle(Vector128.Load((short*)from));

    /// <summary>Eight float16 numbers, their bits given, as float32; exact.</summary>
    /// <remarks>A half's exponent and digits, moved to a float's places, are too small by 2^112; subnormal numbers too. .NET has no instruction for it.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats ToSingle(Vector128<short> bits)
    {
        // Widened, a number has its sign in every bit above its own: the highest stays.
        var moved = (Avx2.ConvertToVector256Int32(bits) << 13) & Vector256.Create(int.MinValue | 0x7fff << 13);
        return moved.AsSingle() * Vector256.Create(5.192296858534828e33f);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats PowerOfTwo(Vector256<int> n) => ((n + Vector256.Create(127)) << 23).AsSingle();
}
