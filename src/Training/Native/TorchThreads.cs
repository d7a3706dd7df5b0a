using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LlamaFullstack.Training.Native;

/// <summary>
/// Loops on libtorch's own threads. Threads of .NET's would compete for the cores with libtorch's, which spin for a while after each operation.
/// </summary>
internal static unsafe partial class TorchThreads
{
    private const string Library = "torch_cpu";

    /// <summary>Calls <paramref name="body"/> with 0 … count - 1, divided evenly among libtorch's threads. It must not throw.</summary>
    public static void For(int count, Action<int> body)
    {
        var handle = GCHandle.Alloc(body);
        try
        {
            TorchOperators.Check(ParallelFor(0, count, 1, &Range, GCHandle.ToIntPtr(handle)) == 0, "a parallel loop");
        }
        finally
        {
            handle.Free();
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Range(long begin, long end, nint context)
    {
        var body = (Action<int>)GCHandle.FromIntPtr(context).Target!;
        for (var i = begin; i < end; i++)
            body((int)i);
    }

    [LibraryImport(Library, EntryPoint = "torch_parallel_for")]
    private static partial int ParallelFor(long begin, long end, long grain, delegate* unmanaged[Cdecl]<long, long, nint, void> body, nint context);
}
