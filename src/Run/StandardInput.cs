using System.Runtime.InteropServices;

namespace LlamaFullstack.Run;

/// <summary>Whether there is a standard input at all.</summary>
internal static partial class StandardInput
{
    private const int GetFlags = 1; // F_GETFD
    private const int CloseOnExec = 1; // FD_CLOEXEC

    /// <summary>Whether this program was started with its input closed (as by the shell's <c>&lt;&amp;-</c>).</summary>
    /// <remarks>The runtime's own files then take the number 0, and to read them would never end. What was inherited is not closed on
    /// exec, or it would not be here; what the runtime opens is.</remarks>
    public static bool IsClosed() => !OperatingSystem.IsWindows() && FileFlags(0, GetFlags) is < 0 or CloseOnExec;

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int FileFlags(int file, int command);
}
