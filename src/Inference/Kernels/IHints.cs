using System.Runtime.CompilerServices;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>What a kernel that reads memory in four places tells the memory system of what it will read. Each kind is the fastest on some processor (docs/LOG.md).</summary>
internal unsafe interface IHints
{
    /// <summary>Tells of a cache line.</summary>
    /// <param name="reading">The one that is read now.</param>
    static abstract void Give(void* reading);
}

/// <summary>Nothing: in registers of 32 bytes a processor's own prefetchers follow four places as fast as memory gives.</summary>
internal readonly unsafe struct NoHints : IHints
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Give(void* reading)
    {
    }
}

/// <summary>A little ahead, into the first cache: Intel's processors with AVX-512, and AMD's from Zen 5 on. Hints for the second cache hold up what is in it, by half.</summary>
internal readonly unsafe struct NearHints : IHints
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Give(void* reading) => Prefetching.Line((byte*)reading + Prefetching.NearDistance);
}

/// <summary>Some pages ahead, into the second cache alone, since more lines can be on their way there: Zen 4.</summary>
internal readonly unsafe struct FarHints : IHints
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Give(void* reading) => Prefetching.FarLine((byte*)reading + Prefetching.Distance);
}
