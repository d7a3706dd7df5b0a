using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using Microsoft.Win32.SafeHandles;
using TorchSharp;

namespace LlamaFullstack.Training.Native;

/// <summary>Brings libtorch into the process, when something is about to use it and not before. Knows nothing about models.</summary>
/// <remarks>
/// TorchSharp 0.107's libLibTorchSharp.so asks for the symbol version GLIBCXX_3.4.32 (GCC 13), which Debian 12 and Ubuntu 22.04
/// lack. The one symbol of that version, <c>std::ios_base_library_init</c>, is named only to be linked and never called, so a copy
/// of the library that marks the need as weak works there. The copy lies in memory; newer systems need none.
/// </remarks>
public static partial class TorchRuntime
{
    private const string Library = "LibTorchSharp";
    private const string NewerVersion = "GLIBCXX_3.4.32";
    private const uint CloseOnExec = 1; // MFD_CLOEXEC
    private static string? _whyNot;

    /// <summary>
    /// Loads libtorch, or says in one line why it cannot. TorchSharp would load it by itself at its first use, but where that fails it
    /// prints a page and copies half a gigabyte: so call this first, from a method that names nothing of TorchSharp.
    /// </summary>
    /// <exception cref="PlatformNotSupportedException">It cannot be loaded here; the message says what to do.</exception>
    public static void Load()
    {
        ProcessSettings.Apply();
        try
        {
            NativeLibrary.Load(Library, typeof(torch).Assembly, searchPath: null);
            OneDnnProducts.InstallIfFaster();
        }
        catch (DllNotFoundException e)
        {
            throw new PlatformNotSupportedException(_whyNot
                ?? $"TorchSharp's native libraries for {RuntimeInformation.RuntimeIdentifier} are not beside the program ({AppContext.BaseDirectory}): training runs on linux-x64, win-x64, win-arm64 and osx-arm64, in a build made for that system.", e);
        }
    }

    // The runtime may run TorchSharp's static constructor, which loads the library, on entry to any method that names torch.
    // Only a module initializer comes before every such method. It costs nothing until a load fails.
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "See above: there is no later moment that is early enough.")]
    internal static void CureFailedLoads() =>
        AssemblyLoadContext.GetLoadContext(typeof(torch).Assembly)!.ResolvingUnmanagedDll += LoadWeakened;

    /// <summary>Called where the usual search has failed. Loads a copy of the library that does without the newer version.</summary>
    private static nint LoadWeakened(Assembly assembly, string name)
    {
        if (name != Library || !OperatingSystem.IsLinux() || FindNativeFolder() is not { } folder)
            return 0;
        var library = Path.Combine(folder, "libLibTorchSharp.so");
        try
        {
            // In this order each library finds the ones that it needs already loaded, from wherever it itself lies.
            foreach (var needed in (string[])["libc10.so", "libtorch_cpu.so", "libtorch.so"])
                NativeLibrary.Load(Path.Combine(folder, needed));
            using var copy = WeakenedCopy(library);
            return NativeLibrary.Load($"/proc/self/fd/{copy.DangerousGetHandle()}"); // once it is loaded, the descriptor is not needed
        }
        catch (Exception e) when (e is DllNotFoundException or IOException or UnauthorizedAccessException or InvalidDataException)
        {
            _whyNot = $"{library}: this system's libstdc++ lacks {NewerVersion} (GCC 13), and a copy that does without it could not be made or loaded: {e.Message.TrimEnd('.')}. Use a system with a newer libstdc++.";
            return 0;
        }
    }

    /// <summary>A file that no folder holds, so that none must be writable; it is gone when nothing maps it any more.</summary>
    private static SafeFileHandle WeakenedCopy(string library)
    {
        var image = File.ReadAllBytes(library);
        ElfVersionNeeds.Weaken(image, NewerVersion);
        var copy = CreateMemoryFile(Library, CloseOnExec);
        if (copy.IsInvalid)
            throw new IOException(Marshal.GetLastPInvokeErrorMessage());
        RandomAccess.Write(copy, image, fileOffset: 0);
        return copy;
    }

    /// <summary>The folder with libLibTorchSharp.so and libtorch: the program's own, its runtimes folder, or where the host looks.</summary>
    private static string? FindNativeFolder()
    {
        var known = (AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string)?.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries) ?? [];
        string[] folders = [.. known, AppContext.BaseDirectory, Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native")];
        return folders.FirstOrDefault(folder =>
            File.Exists(Path.Combine(folder, "libLibTorchSharp.so")) && File.Exists(Path.Combine(folder, "libtorch_cpu.so")));
    }

    [LibraryImport("libc", EntryPoint = "memfd_create", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial SafeFileHandle CreateMemoryFile(string name, uint flags);
}
