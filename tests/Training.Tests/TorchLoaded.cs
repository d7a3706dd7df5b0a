using System.Runtime.CompilerServices;
using LlamaFullstack.Training.Native;

namespace LlamaFullstack.Training.Tests;

/// <summary>Tests name torch themselves, so it is loaded before any of them begins.</summary>
internal static class TorchLoaded
{
    [ModuleInitializer]
    internal static void Load() => TorchRuntime.Load();
}
