using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Hints to the memory system. Weights are read once and in order, faster than hardware prefetchers alone keep up with.</summary>
internal static unsafe class Prefetching
{
    /// <summary>How far ahead of the weights being used, in bytes: some rows of a small model, a few pages of memory latency.</summary>
    public const int Distance = 8192;

    /// <summary>Asks for one cache line. Any address is allowed; does nothing where .NET has no such instruction.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Line(void* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch0(address);
    }

    /// <summary>Asks for what lies <see cref="Distance"/> ahead of some weights that are being used.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Lines(void* weights, int bytes)
    {
        for (var i = 0; i < bytes; i += 64)
            Line((byte*)weights + Distance + i);
    }
}
