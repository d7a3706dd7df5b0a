using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Hints to the memory system. Weights are read once and in order, faster than hardware prefetchers alone keep up with.</summary>
internal static unsafe class Prefetching
{
    /// <summary>How far ahead of the weights being used, in bytes: some rows of a small model, a few pages of memory latency.</summary>
    public const int Distance = 8192;

    /// <summary>The same for memory that is read in four places, into the first cache.</summary>
    public const int NearDistance = 2048;

    // How far ahead of the scales being used: the scales of 1,024 weights in groups of 32, of 2,048 in groups of 64.
    private const int ScaleDistance = 128;

    // Below so many bytes of a row's, rows share so many lines that asking costs more than it gives.
    private const int LeastScales = 48;

    /// <summary>Asks for one cache line. Any address is allowed; does nothing where .NET has no such instruction.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Line(void* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch0(address);
    }

    /// <summary>Asks for one cache line as <see cref="Line"/> does, but into the second cache alone: more of them can be on their way.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void FarLine(void* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch1(address);
    }

    /// <summary><see cref="FarLine"/> and the one that follows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void TwoFarLines(void* address)
    {
        FarLine(address);
        FarLine((byte*)address + 64);
    }

    /// <summary>Asks for the scales of four rows, two lines ahead: between weights that are read fast they come too late by themselves. Not for short rows.</summary>
    /// <param name="address">Those of the first.</param>
    /// <param name="apart">Bytes to those of the next.</param>
    /// <param name="bytes">Bytes of a row's.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scales(void* address, nint apart, nint bytes)
    {
        if (bytes < LeastScales)
            return;
        for (var from = (byte*)address + ScaleDistance; bytes > 0; from += 64, bytes -= 64)
            FourLines(from, apart);
    }

    /// <summary>Asks for a line of each of four rows.</summary>
    /// <param name="address">The first row's.</param>
    /// <param name="apart">Bytes to that of the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void FourLines(void* address, nint apart)
    {
        var from = (byte*)address;
        Line(from);
        Line(from + apart);
        Line(from + 2 * apart);
        Line(from + 3 * apart);
    }

    /// <summary>Asks for the lines of some bytes.</summary>
    /// <param name="address">Any.</param>
    /// <param name="bytes">128, or a multiple of it; a constant costs no loop up to 256.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Lines(void* address, nint bytes)
    {
        var from = (byte*)address;
        Line(from);
        Line(from + 64);
        if (bytes > 128)
        {
            Line(from + 128);
            Line(from + 192);
        }
        if (bytes > 256)
            for (nint i = 256; i < bytes; i += 64)
                Line(from + i);
    }
}
