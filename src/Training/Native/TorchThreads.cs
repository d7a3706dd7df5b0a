using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LlamaFullstack.Training.Native;

/// <summary>
/// Loops on libtorch's own threads. Threads of .NET's would compete for the cores with libtorch's, which spin for a while after each operation.
/// </summary>
internal static unsafe partial class TorchThreads
{
    private const string Library = "torch_cpu";

    /// <summary>Calls <paramref name="body"/> with 0 … count - 1 on libtorch's threads, each of which takes the next as it is done. It must not throw.</summary>
    public static void For(int count, Action<int> body)
    {
        var threads = Math.Min(count, TorchSharp.torch.get_num_threads());
        if (threads <= 1)
        {
            for (var i = 0; i < count; i++)
                body(i);
            return;
        }
        var next = -1;
        Action work = () =>
        {
            for (var i = Interlocked.Increment(ref next); i < count; i = Interlocked.Increment(ref next))
                body(i);
        };
        var handle = GCHandle.Alloc(work);
        try
        {
            TorchOperators.Check(ParallelFor(0, threads, 1, &Range, GCHandle.ToIntPtr(handle)) == 0, "a parallel loop");
        }
        finally
        {
            handle.Free();
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Range(long begin, long end, nint context)
    {
        var work = (Action)GCHandle.FromIntPtr(context).Target!;
        for (var i = begin; i < end; i++)
            work();
    }

    [LibraryImport(Library, EntryPoint = "torch_parallel_for")]
    private static partial int ParallelFor(long begin, long end, long grain, delegate* unmanaged[Cdecl]<long, long, nint, void> body, nint context);
}
