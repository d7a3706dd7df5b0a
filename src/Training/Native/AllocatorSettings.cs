using System.Runtime.InteropServices;

namespace LlamaFullstack.Training.Native;

/// <summary>
/// Tells the C allocator to keep the memory that a training step frees, for the next step to use again. Knows nothing about torch.
/// </summary>
/// <remarks>
/// glibc gives every large block back to the system when it is freed. A step frees hundreds of them and needs the same again in the
/// next one, and the system must then fill each page with zeros anew: page faults took most of the time of a step
/// (docs/LOG.md 2026-11-24). The settings reach the main arena, which the program's first thread allocates from: train on it.
/// </remarks>
internal static partial class AllocatorSettings
{
    // <malloc.h>
    private const int TrimThreshold = -1;
    private const int TopPad = -2;
    private const int MmapMax = -4;
    private const int ArenaMax = -8;

    /// <summary>Keeps freed memory. Does nothing where the C library is not glibc.</summary>
    public static void KeepMemory()
    {
        if (!OperatingSystem.IsLinux())
            return;
        try
        {
            // Each returns 0 where the library refuses the option: then that memory is given back as before.
            _ = MallocOption(MmapMax, 0);
            _ = MallocOption(TrimThreshold, int.MaxValue);
            _ = MallocOption(TopPad, 64 << 20);
            _ = MallocOption(ArenaMax, 1);
        }
        catch (EntryPointNotFoundException)
        {
            // musl has no mallopt: training works there, with more page faults.
        }
    }

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int MallocOption(int option, int value);
}
