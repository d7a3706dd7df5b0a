namespace LlamaFullstack.Inference.Kernels;

/// <summary>A register of float32 numbers: the few operations that the kernels are made of, one instruction each or nearly so.</summary>
/// <typeparam name="TVector">The register, such as <see cref="System.Runtime.Intrinsics.Vector256{T}"/> of float.</typeparam>
/// <remarks>
/// Implemented by structs that are only ever type arguments, so that the compiler makes each kernel anew for each width and nothing is
/// left of the interface. What could be left out of here is: add a line when a kernel needs it.
/// </remarks>
internal unsafe interface ILanes<TVector> where TVector : struct
{
    /// <summary>Numbers in a register.</summary>
    static abstract int Count { get; }

    /// <summary>Registers of this width that the processor has: how many sums a kernel may keep.</summary>
    static abstract int Registers { get; }

    /// <summary>All lanes 0.</summary>
    static abstract TVector Zero { get; }

    /// <summary>Count numbers from memory of any alignment.</summary>
    static abstract TVector Load(float* from);

    /// <summary>Count numbers to memory of any alignment.</summary>
    static abstract void Store(TVector v, float* to);

    /// <summary>The same number in every lane.</summary>
    static abstract TVector Broadcast(float value);

    /// <summary>a + b.</summary>
    static abstract TVector Add(TVector a, TVector b);

    /// <summary>a − b.</summary>
    static abstract TVector Subtract(TVector a, TVector b);

    /// <summary>a · b.</summary>
    static abstract TVector Multiply(TVector a, TVector b);

    /// <summary>a · b + c, rounded once where the processor can.</summary>
    static abstract TVector MultiplyAdd(TVector a, TVector b, TVector c);

    /// <summary>a / b.</summary>
    static abstract TVector Divide(TVector a, TVector b);

    /// <summary>The greater; NaN if either is.</summary>
    static abstract TVector Max(TVector a, TVector b);

    /// <summary>The greater in one instruction; whatever it gives where either is NaN.</summary>
    static abstract TVector MaxOfNumbers(TVector a, TVector b);

    /// <summary>v, but not below <paramref name="low"/> nor above <paramref name="high"/>; NaN stays NaN.</summary>
    static abstract TVector Clamp(TVector v, float low, float high);

    /// <summary>v, but 0 where <paramref name="by"/> is below <paramref name="least"/>.</summary>
    static abstract TVector ZeroWhereBelow(TVector v, TVector by, float least);

    /// <summary>√v.</summary>
    static abstract TVector Sqrt(TVector v);

    /// <summary>v · 2ⁿ for whole numbers n of −200 to 200.</summary>
    static abstract TVector TimesPowerOfTwo(TVector v, TVector n);

    /// <summary>(v1, v0, v3, v2, …).</summary>
    static abstract TVector SwapPairs(TVector v);

    /// <summary>The last <paramref name="count"/> lanes as they are, the others 0.</summary>
    static abstract TVector KeepLast(TVector v, int count);

    /// <summary>v0 + v1 + …, pairwise.</summary>
    static abstract float Sum(TVector v);

    /// <summary>The greatest lane; NaN if any is.</summary>
    static abstract float MaxLane(TVector v);

    /// <summary>The first lane that equals <paramref name="value"/>; Count or more if none does.</summary>
    static abstract int IndexOf(TVector v, float value);
}
