using System.Runtime.CompilerServices;
using LlamaFullstack.Training.Native;

// Torch's random generator and its threads belong to the whole process.
[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)]

namespace LlamaFullstack.Training.Tests;

/// <summary>Tests name torch themselves, so it is loaded before any of them begins.</summary>
internal static class TorchLoaded
{
    [ModuleInitializer]
    internal static void Load()
    {
        TorchRuntime.Load();
        UseOneThread();
    }

    // The models here are too small to share; threads that wait for each other would only make the tests slow on a busy machine.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void UseOneThread() => TorchSharp.torch.set_num_threads(1);
}
