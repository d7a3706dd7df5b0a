using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace LlamaFullstack.Run;

/// <summary>The streams that this program was started with, as they are: closed, or read by one who may leave.</summary>
public static partial class StandardStreams
{
    private const int Input = 0;
    private const int Output = 1;
    private const int GetFlags = 1; // F_GETFD
    private const int CloseOnExec = 1; // FD_CLOEXEC

    /// <summary>Whether this program was started with its input closed (as by the shell's <c>&lt;&amp;-</c>).</summary>
    public static bool InputIsClosed => IsClosed(Input);

    /// <summary>Whether this program was started with its output closed.</summary>
    public static bool OutputIsClosed => IsClosed(Output);

    /// <summary>Standard output for text that takes long to make: to write to a pipe that nobody reads any more is an <see cref="IOException"/>, where the console's own stream goes on in silence.</summary>
    public static Stream OpenOutput()
    {
        if (OperatingSystem.IsWindows() || !Console.IsOutputRedirected || OutputIsClosed)
            return Console.OpenStandardOutput();
        var output = new FileStream(new SafeFileHandle(Output, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        // In a file it would count its own position, and whoever writes to the same file afterwards would begin where we did.
        return output.CanSeek ? Console.OpenStandardOutput() : output;
    }

    // The runtime's own files take the number of a closed one, and to read them would never end. What was inherited is not closed on exec,
    // or it would not be here; what the runtime opens is.
    private static bool IsClosed(int file) => !OperatingSystem.IsWindows() && FileFlags(file, GetFlags) is < 0 or CloseOnExec;

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int FileFlags(int file, int command);
}
