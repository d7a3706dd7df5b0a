using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using Floats = System.Runtime.Intrinsics.Vector128<float>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Four numbers at a time: NEON on Arm, SSE on x86.</summary>
internal readonly unsafe struct Lanes128 : ILanes<Floats>
{
    public static int Count => Floats.Count;

    public static int Registers => AdvSimd.IsSupported ? 32 : 16;

    public static Floats Zero => Floats.Zero;

    // 4 lanes of nothing, then 4 of everything: read from index n, the last n lanes are kept.
    private static ReadOnlySpan<int> Masks =>
    [
        0, 0, 0, 0,
        -1, -1, -1, -1,
    ];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Load(float* from) => Vector128.Load(from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Floats v, float* to) => Vector128.Store(v, to);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Broadcast(float value) => Vector128.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Add(Floats a, Floats b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Subtract(Floats a, Floats b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Multiply(Floats a, Floats b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats MultiplyAdd(Floats a, Floats b, Floats c) => Vector128.MultiplyAddEstimate(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Divide(Floats a, Floats b) => a / b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Max(Floats a, Floats b) => Vector128.Max(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats MaxOfNumbers(Floats a, Floats b) => Vector128.MaxNative(a, b);

    // v comes second: x86 gives the second where either is NaN, and Arm NaN.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Clamp(Floats v, float low, float high) =>
        Vector128.MaxNative(Vector128.Create(low), Vector128.MinNative(Vector128.Create(high), v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats ZeroWhereBelow(Floats v, Floats by, float least) => Vector128.AndNot(v, Vector128.LessThan(by, Vector128.Create(least)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Sqrt(Floats v) => Vector128.Sqrt(v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats TimesPowerOfTwo(Floats v, Floats n)
    {
        // In two steps: 2ⁿ itself may be beyond float32 where the product is not.
        var whole = Vector128.ConvertToInt32(n);
        var half = whole >> 1;
        return v * PowerOfTwo(half) * PowerOfTwo(whole - half);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats SwapPairs(Floats v) => Vector128.Shuffle(v, Vector128.Create(1, 0, 3, 2));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats KeepLast(Floats v, int count) =>
        v & Vector128.LoadUnsafe(ref MemoryMarshal.GetReference(Masks), (nuint)count).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Floats v) => (v[0] + v[2]) + (v[1] + v[3]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(Floats v) => MathF.Max(MathF.Max(v[0], v[1]), MathF.Max(v[2], v[3]));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int IndexOf(Floats v, float value) =>
        BitOperations.TrailingZeroCount(Vector128.ExtractMostSignificantBits(Vector128.Equals(v, Vector128.Create(value))));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats PowerOfTwo(Vector128<int> n) => ((n + Vector128.Create(127)) << 23).AsSingle();
}
