using System.Runtime.CompilerServices;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>What a kernel that reads memory in four places tells the memory system of what it will read. Each kind is the fastest on some processor (docs/LOG.md).</summary>
internal unsafe interface IHints
{
    /// <summary>Bytes from what is read to what is told of meanwhile.</summary>
    static abstract nint Distance { get; }

    /// <summary>Tells of a cache line.</summary>
    /// <param name="told">The line itself, <see cref="Distance"/> from the one that is read now.</param>
    static abstract void Ask(void* told);
}

/// <summary>Nothing: for what lies in the second cache; and in registers of 32 bytes most processors' own prefetchers follow four places as fast as memory gives.</summary>
internal readonly unsafe struct NoHints : IHints
{
    public static nint Distance => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(void* told)
    {
    }
}

/// <summary>A little ahead, into the first cache: Intel's processors with AVX-512, and AMD's from Zen 5 on. Hints for the second cache hold up what is in it, by half.</summary>
internal readonly unsafe struct NearHints : IHints
{
    public static nint Distance => Prefetching.NearDistance;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(void* told) => Prefetching.Line(told);
}

/// <summary>Some pages ahead, into the second cache alone, since more lines can be on their way there: quantised rows on Zen 4.</summary>
internal readonly unsafe struct FarHints : IHints
{
    public static nint Distance => Prefetching.Distance;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(void* told) => Prefetching.FarLine(told);
}
