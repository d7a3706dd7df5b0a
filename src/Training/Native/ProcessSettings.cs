using System.Runtime.InteropServices;

namespace LlamaFullstack.Training.Native;

/// <summary>What the C libraries under libtorch must be told before it is loaded, so that a training step takes no longer than its arithmetic.</summary>
/// <remarks>
/// <para><b>Memory.</b> glibc gives every large block back to the system when it is freed. A step frees hundreds of them and needs the
/// same again in the next one, and the system must then fill each page with zeros anew. The settings keep the memory. They reach the
/// main arena, which the program's first thread allocates from: train on that one.</para>
/// <para><b>Threads.</b> GNU's OpenMP lets a thread that waits for the others spin for some milliseconds. Where other programs use the
/// processor too, the one that it waits for cannot run while it spins.</para>
/// <para>Figures: docs/LOG.md, 2026-11-24.</para>
/// </remarks>
internal static partial class ProcessSettings
{
    // <malloc.h>
    private const int TrimThreshold = -1;
    private const int TopPad = -2;
    private const int MmapMax = -4;
    private const int ArenaMax = -8;

    // About 50 microseconds: longer than the threads of one operation differ by, shorter than a time slice.
    private const string SpinCount = "10000";

    /// <summary>Sets everything. Does nothing where the C library is not glibc.</summary>
    public static void Apply()
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
            // Not Environment.SetEnvironmentVariable, which C code does not see.
            _ = SetEnvironment("GOMP_SPINCOUNT", SpinCount, overwrite: 0);
        }
        catch (EntryPointNotFoundException)
        {
            // musl has no mallopt: training works there, with more page faults.
        }
    }

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int MallocOption(int option, int value);

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);
}
