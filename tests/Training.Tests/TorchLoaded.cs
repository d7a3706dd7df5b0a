using System.Runtime.CompilerServices;
using LlamaFullstack.Training.Native;

// Torch's random generator and its threads belong to the whole process.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace LlamaFullstack.Training.Tests;

/// <summary>Tests name torch themselves, so it is loaded before any of them begins.</summary>
internal static class TorchLoaded
{
    [ModuleInitializer]
    internal static void Load() => TorchRuntime.Load();
}
