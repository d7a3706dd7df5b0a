using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>A register of the processor: some neighbouring values on which an operation works at once. The kernels are written once for all widths, and the compiler makes the code of each.</summary>
/// <typeparam name="TSelf">The register.</typeparam>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
internal unsafe interface IRegister<TSelf, T> where TSelf : unmanaged, IRegister<TSelf, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Values in it.</summary>
    static abstract int Count { get; }

    static abstract TSelf Load(T* from);

    static abstract TSelf Create(T value);

    void Store(T* to);

    static abstract TSelf operator +(TSelf a, TSelf b);

    static abstract TSelf operator -(TSelf a, TSelf b);

    static abstract TSelf operator *(TSelf a, TSelf b);

    static abstract TSelf operator *(TSelf a, T b);

    static abstract TSelf operator /(TSelf a, TSelf b);

    static abstract TSelf operator -(TSelf a);

    /// <summary>a · b + c, rounded once where the processor can.</summary>
    static abstract TSelf MultiplyAdd(TSelf a, TSelf b, TSelf c);

    /// <summary>The greater; where one is NaN, either.</summary>
    static abstract TSelf Max(TSelf a, TSelf b);

    /// <summary>The lesser; where one is NaN, either.</summary>
    static abstract TSelf Min(TSelf a, TSelf b);

    static abstract TSelf Sqrt(TSelf x);

    static abstract T Sum(TSelf x);

    /// <summary>exp(x) of .NET's, in float64.</summary>
    static abstract TSelf ExpOfDoubles(TSelf x);

    /// <summary>x · 2^n of float32, where the low bits of <paramref name="n"/> are the whole number n.</summary>
    static abstract TSelf TimesPowerOfTwo(TSelf x, TSelf n);

    /// <summary>The value, or 0 where x lies below a bound.</summary>
    static abstract TSelf ZeroBelow(T bound, TSelf x, TSelf value);

    /// <summary>The value in the lanes from the given one on, and another in those before.</summary>
    static abstract TSelf From(int lane, TSelf value, TSelf before);

    /// <summary>The whole numbers from the given one on, one in each 32 bits: two in a float64.</summary>
    static abstract TSelf CountBits(uint first);

    /// <summary>(x ^ (x >> shift) ^ key) · factor of each 32 bits.</summary>
    static abstract TSelf MixBits(TSelf x, int shift, uint key, uint factor);

    /// <summary>The value, or 0 where the upper 32 bits of <paramref name="x"/> lie below a bound.</summary>
    static abstract TSelf ZeroWhereBitsAreBelow(uint bound, TSelf x, TSelf value);
}

/// <summary>What sums of products need of .NET's own type of a register: a struct around it costs a move for each second product.</summary>
/// <typeparam name="TSelf">The register.</typeparam>
/// <typeparam name="TVector">Vector512, Vector256 or Vector128.</typeparam>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
internal unsafe interface IVector<TSelf, TVector, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    static abstract TVector LoadVector(T* from);

    static abstract TVector CreateVector(T value);

    static abstract void StoreVector(TVector value, T* to);

    /// <summary>a · b + c, rounded once where the processor can.</summary>
    static abstract TVector MultiplyAddVectors(TVector a, TVector b, TVector c);

    static abstract TSelf Of(TVector value);
}

/// <summary>512 bits: AVX-512.</summary>
internal readonly unsafe struct Register512<T>(Vector512<T> value) : IRegister<Register512<T>, T>, IVector<Register512<T>, Vector512<T>, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly Vector512<T> _value = value;

    public Vector512<T> Value => _value;

    public static int Count => Vector512<T>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> Load(T* from) => new(Vector512.Load(from));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> Create(T value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(T* to) => Vector512.Store(_value, to);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> operator +(Register512<T> a, Register512<T> b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> operator -(Register512<T> a, Register512<T> b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> operator *(Register512<T> a, Register512<T> b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> operator *(Register512<T> a, T b) => new(a._value * b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> operator /(Register512<T> a, Register512<T> b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> operator -(Register512<T> a) => new(-a._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> MultiplyAdd(Register512<T> a, Register512<T> b, Register512<T> c) => new(Lanes.MultiplyAdd(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> LoadVector(T* from) => Vector512.Load(from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> CreateVector(T value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreVector(Vector512<T> value, T* to) => Vector512.Store(value, to);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> MultiplyAddVectors(Vector512<T> a, Vector512<T> b, Vector512<T> c) => Lanes.MultiplyAdd(a, b, c);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> Of(Vector512<T> value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> Max(Register512<T> a, Register512<T> b) => new(Vector512.MaxNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> Min(Register512<T> a, Register512<T> b) => new(Vector512.MinNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> Sqrt(Register512<T> x) => new(Vector512.Sqrt(x._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum(Register512<T> x) => Vector512.Sum(x._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> ExpOfDoubles(Register512<T> x) => new(Vector512.Exp(x._value.AsDouble()).As<double, T>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> TimesPowerOfTwo(Register512<T> x, Register512<T> n) => new((x._value.AsInt32() + (n._value.AsInt32() << 23)).As<int, T>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> ZeroBelow(T bound, Register512<T> x, Register512<T> value) =>
        new(Vector512.ConditionalSelect(Vector512.LessThan(x._value, Vector512.Create(bound)), Vector512<T>.Zero, value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> From(int lane, Register512<T> value, Register512<T> before) => new(Vector512.ConditionalSelect(
        Vector512.GreaterThanOrEqual(Vector512.CreateSequence(T.Zero, T.One), Vector512.Create(T.CreateTruncating(lane))), value._value, before._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> CountBits(uint first) => new((Vector512<uint>.Indices + Vector512.Create(first)).As<uint, T>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> MixBits(Register512<T> x, int shift, uint key, uint factor) =>
        new(((x._value.AsUInt32() ^ (x._value.AsUInt32() >>> shift) ^ Vector512.Create(key)) * factor).As<uint, T>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register512<T> ZeroWhereBitsAreBelow(uint bound, Register512<T> x, Register512<T> value) => new(Vector512.ConditionalSelect(typeof(T) == typeof(float)
        ? Vector512.LessThan(x._value.AsUInt32(), Vector512.Create(bound)).As<uint, T>()
        : Vector512.LessThan(x._value.AsUInt64(), Vector512.Create((ulong)bound << 32)).As<ulong, T>(), Vector512<T>.Zero, value._value));
}

/// <summary>256 bits: AVX2.</summary>
internal readonly unsafe struct Register256<T>(Vector256<T> value) : IRegister<Register256<T>, T>, IVector<Register256<T>, Vector256<T>, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly Vector256<T> _value = value;

    public static int Count => Vector256<T>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> Load(T* from) => new(Vector256.Load(from));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> Create(T value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(T* to) => Vector256.Store(_value, to);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> operator +(Register256<T> a, Register256<T> b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> operator -(Register256<T> a, Register256<T> b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> operator *(Register256<T> a, Register256<T> b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> operator *(Register256<T> a, T b) => new(a._value * b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> operator /(Register256<T> a, Register256<T> b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> operator -(Register256<T> a) => new(-a._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> MultiplyAdd(Register256<T> a, Register256<T> b, Register256<T> c) => new(MultiplyAddVectors(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> LoadVector(T* from) => Vector256.Load(from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> CreateVector(T value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreVector(Vector256<T> value, T* to) => Vector256.Store(value, to);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> MultiplyAddVectors(Vector256<T> a, Vector256<T> b, Vector256<T> c) => typeof(T) == typeof(float)
        ? Vector256.MultiplyAddEstimate(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, T>()
        : Vector256.MultiplyAddEstimate(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, T>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> Of(Vector256<T> value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> Max(Register256<T> a, Register256<T> b) => new(Vector256.MaxNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> Min(Register256<T> a, Register256<T> b) => new(Vector256.MinNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> Sqrt(Register256<T> x) => new(Vector256.Sqrt(x._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum(Register256<T> x) => Vector256.Sum(x._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> ExpOfDoubles(Register256<T> x) => new(Vector256.Exp(x._value.AsDouble()).As<double, T>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> TimesPowerOfTwo(Register256<T> x, Register256<T> n) => new((x._value.AsInt32() + (n._value.AsInt32() << 23)).As<int, T>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> ZeroBelow(T bound, Register256<T> x, Register256<T> value) =>
        new(Vector256.ConditionalSelect(Vector256.LessThan(x._value, Vector256.Create(bound)), Vector256<T>.Zero, value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> From(int lane, Register256<T> value, Register256<T> before) => new(Vector256.ConditionalSelect(
        Vector256.GreaterThanOrEqual(Vector256.CreateSequence(T.Zero, T.One), Vector256.Create(T.CreateTruncating(lane))), value._value, before._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> CountBits(uint first) => new((Vector256<uint>.Indices + Vector256.Create(first)).As<uint, T>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> MixBits(Register256<T> x, int shift, uint key, uint factor) =>
        new(((x._value.AsUInt32() ^ (x._value.AsUInt32() >>> shift) ^ Vector256.Create(key)) * factor).As<uint, T>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register256<T> ZeroWhereBitsAreBelow(uint bound, Register256<T> x, Register256<T> value) => new(Vector256.ConditionalSelect(typeof(T) == typeof(float)
        ? Vector256.LessThan(x._value.AsUInt32(), Vector256.Create(bound)).As<uint, T>()
        : Vector256.LessThan(x._value.AsUInt64(), Vector256.Create((ulong)bound << 32)).As<ulong, T>(), Vector256<T>.Zero, value._value));
}

/// <summary>128 bits: NEON. SSE4.1, which does not multiply and add at once, takes it in tests only: <see cref="Lanes.AreFastInTiles"/>.</summary>
internal readonly unsafe struct Register128<T>(Vector128<T> value) : IRegister<Register128<T>, T>, IVector<Register128<T>, Vector128<T>, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly Vector128<T> _value = value;

    public static int Count => Vector128<T>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> Load(T* from) => new(Vector128.Load(from));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> Create(T value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(T* to) => Vector128.Store(_value, to);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> operator +(Register128<T> a, Register128<T> b) => new(a._value + b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> operator -(Register128<T> a, Register128<T> b) => new(a._value - b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> operator *(Register128<T> a, Register128<T> b) => new(a._value * b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> operator *(Register128<T> a, T b) => new(a._value * b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> operator /(Register128<T> a, Register128<T> b) => new(a._value / b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> operator -(Register128<T> a) => new(-a._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> MultiplyAdd(Register128<T> a, Register128<T> b, Register128<T> c) => new(MultiplyAddVectors(a._value, b._value, c._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> LoadVector(T* from) => Vector128.Load(from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> CreateVector(T value) => Vector128.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreVector(Vector128<T> value, T* to) => Vector128.Store(value, to);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<T> MultiplyAddVectors(Vector128<T> a, Vector128<T> b, Vector128<T> c) => typeof(T) == typeof(float)
        ? Vector128.MultiplyAddEstimate(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, T>()
        : Vector128.MultiplyAddEstimate(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, T>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> Of(Vector128<T> value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> Max(Register128<T> a, Register128<T> b) => new(Vector128.MaxNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> Min(Register128<T> a, Register128<T> b) => new(Vector128.MinNative(a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> Sqrt(Register128<T> x) => new(Vector128.Sqrt(x._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum(Register128<T> x) => Vector128.Sum(x._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> ExpOfDoubles(Register128<T> x) => new(Vector128.Exp(x._value.AsDouble()).As<double, T>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> TimesPowerOfTwo(Register128<T> x, Register128<T> n) => new((x._value.AsInt32() + (n._value.AsInt32() << 23)).As<int, T>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> ZeroBelow(T bound, Register128<T> x, Register128<T> value) =>
        new(Vector128.ConditionalSelect(Vector128.LessThan(x._value, Vector128.Create(bound)), Vector128<T>.Zero, value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> From(int lane, Register128<T> value, Register128<T> before) => new(Vector128.ConditionalSelect(
        Vector128.GreaterThanOrEqual(Vector128.CreateSequence(T.Zero, T.One), Vector128.Create(T.CreateTruncating(lane))), value._value, before._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> CountBits(uint first) => new((Vector128<uint>.Indices + Vector128.Create(first)).As<uint, T>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> MixBits(Register128<T> x, int shift, uint key, uint factor) =>
        new(((x._value.AsUInt32() ^ (x._value.AsUInt32() >>> shift) ^ Vector128.Create(key)) * factor).As<uint, T>());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Register128<T> ZeroWhereBitsAreBelow(uint bound, Register128<T> x, Register128<T> value) => new(Vector128.ConditionalSelect(typeof(T) == typeof(float)
        ? Vector128.LessThan(x._value.AsUInt32(), Vector128.Create(bound)).As<uint, T>()
        : Vector128.LessThan(x._value.AsUInt64(), Vector128.Create((ulong)bound << 32)).As<ulong, T>(), Vector128<T>.Zero, value._value));
}
