using System.Runtime.InteropServices;

namespace LlamaFullstack.Inference;

/// <summary>Memory outside the garbage collector's reach, aligned to cache lines, freed all at once.</summary>
/// <remarks>
/// Not cleared. What is large lies on huge pages where Linux has them to give: a page that is written to for the first time costs up to 11 µs under a hypervisor,
/// as much as whole steps of a small model (docs/LOG.md). Not what is larger still: a long context's cache costs real memory only where it is written.
/// </remarks>
internal sealed unsafe partial class NativeBuffers : IDisposable
{
    private const nuint Alignment = 64;
    private const nuint HugePage = 2 << 20;
    private const nuint MostOnHugePages = 32 << 20;

    private readonly List<nint> _blocks = [];

    /// <summary>Bytes given out.</summary>
    public long Bytes { get; private set; }

    /// <summary>Memory for <paramref name="count"/> values.</summary>
    /// <exception cref="OutOfMemoryException">The system has not so much.</exception>
    public T* Allocate<T>(long count) where T : unmanaged
    {
        var bytes = checked((nuint)count * (nuint)sizeof(T));
        var isLarge = bytes is >= HugePage / 2 and <= MostOnHugePages;
        var block = isLarge && OperatingSystem.IsLinux() ? OnHugePages(bytes) : NativeMemory.AlignedAlloc(bytes, Alignment);
        _blocks.Add((nint)block);
        Bytes += (long)bytes;
        return (T*)block;
    }

    /// <summary>Frees everything.</summary>
    public void Dispose()
    {
        foreach (var block in _blocks)
            NativeMemory.AlignedFree((void*)block);
        _blocks.Clear();
    }

    private static void* OnHugePages(nuint bytes)
    {
        const int WithHugePages = 14; // MADV_HUGEPAGE
        var whole = (bytes + HugePage - 1) / HugePage * HugePage;
        var block = NativeMemory.AlignedAlloc(whole, HugePage);
        _ = Advise(block, whole, WithHugePages); // a wish: refused by a system that has none
        return block;
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* start, nuint length, int advice);
}
