using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Floats = System.Runtime.Intrinsics.Vector512<float>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Sixteen numbers at a time: AVX-512.</summary>
internal readonly unsafe struct Lanes512 : ILanes<Floats>
{
    public static int Count => Floats.Count;

    public static int Registers => 32;

    public static Floats Zero => Floats.Zero;

    // 16 lanes of nothing, then 16 of everything: read from index n, the last n lanes are kept.
    private static ReadOnlySpan<int> Masks =>
    [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    ];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Load(float* from) => Vector512.Load(from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Floats v, float* to) => Vector512.Store(v, to);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Broadcast(float value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Add(Floats a, Floats b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Subtract(Floats a, Floats b) => a - b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Multiply(Floats a, Floats b) => a * b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats MultiplyAdd(Floats a, Floats b, Floats c) => Vector512.MultiplyAddEstimate(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Divide(Floats a, Floats b) => a / b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Max(Floats a, Floats b) => Vector512.Max(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats MaxOfNumbers(Floats a, Floats b) => Vector512.MaxNative(a, b);

    // v comes second: x86 gives the second where either is NaN, and Arm NaN.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Clamp(Floats v, float low, float high) =>
        Vector512.MaxNative(Vector512.Create(low), Vector512.MinNative(Vector512.Create(high), v));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats ZeroWhereBelow(Floats v, Floats by, float least) => Vector512.ConditionalSelect(Vector512.LessThan(by, Vector512.Create(least)), Floats.Zero, v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats Sqrt(Floats v) => Vector512.Sqrt(v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats TimesPowerOfTwo(Floats v, Floats n) => Avx512F.Scale(v, n);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats SwapPairs(Floats v) => Vector512.Shuffle(v,
        Vector512.Create(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats KeepLast(Floats v, int count) =>
        v & Vector512.LoadUnsafe(ref MemoryMarshal.GetReference(Masks), (nuint)count).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Floats v) => Lanes256.Sum(v.GetLower() + v.GetUpper());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MaxLane(Floats v) => Lanes256.MaxLane(Vector256.Max(v.GetLower(), v.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int IndexOf(Floats v, float value) =>
        BitOperations.TrailingZeroCount(Vector512.ExtractMostSignificantBits(Vector512.Equals(v, Vector512.Create(value))));

    /// <summary>A register of two halves.</summary>
    /// <remarks>By an insertion: Vector512.Create goes through memory in .NET 10, and waits there for the one before.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Join<T>(Vector256<T> lower, Vector256<T> upper) =>
        Avx512DQ.InsertVector256(lower.ToVector512Unsafe().AsSingle(), upper.AsSingle(), 1).As<float, T>();

    /// <summary>Sixteen float16 numbers, their bits given, as float32; exact. See <see cref="Lanes256.ToSingle(Vector128{short})"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats ToSingle(Vector256<short> bits)
    {
        var moved = (Avx512F.ConvertToVector512Int32(bits) << 13) & Vector512.Create(int.MinValue | 0x7fff << 13);
        return moved.AsSingle() * Vector512.Create(5.192296858534828e33f);
    }
}
