using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Memory that will be needed soon. A product asks for it line by line on its way, into the second cache, where it drives out nothing that is being computed with.</summary>
/// <remarks>Asked for all at once it holds up what comes after, since a core has few lines on their way at a time: 6 % of a prompt's time in float32 (docs/LOG.md).</remarks>
/// <param name="start">Any address.</param>
/// <param name="bytes">May be 0.</param>
internal readonly unsafe struct Upcoming(byte* start, long bytes)
{
    private const int Line = 64;

    /// <summary>The first byte.</summary>
    public byte* Start { get; } = start;

    /// <summary>A part of some memory.</summary>
    /// <param name="from">The memory.</param>
    /// <param name="bytes">Its length.</param>
    /// <param name="part">Which part, from 0.</param>
    /// <param name="parts">How many there are.</param>
    public static Upcoming Part(void* from, long bytes, int part, int parts)
    {
        var start = bytes * part / parts;
        return new Upcoming((byte*)from + start, bytes * (part + 1) / parts - start);
    }

    /// <summary>How far to go on at each of so many steps. Two lines at the most: of what is more, the rest is not asked for.</summary>
    public nint PerStep(long steps) => steps == 0 ? 0 : (nint)Math.Min(2 * Line, bytes / steps);

    /// <summary>Asks for everything at once: for products that need too little to be held up by it.</summary>
    public void AskForAll()
    {
        if (Sse.IsSupported)
            for (var line = Start; line < Start + bytes; line += Line)
                Sse.Prefetch1(line);
    }
}
