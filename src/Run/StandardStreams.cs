using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace LlamaFullstack.Run;

/// <summary>The streams that this program was started with, as they are: closed, or read by one who may leave.</summary>
public static partial class StandardStreams
{
    private const int Input = 0;
    private const int Output = 1;
    private const int Error = 2;
    private const int GetFlags = 1; // F_GETFD
    private const int CloseOnExec = 1; // FD_CLOEXEC

    /// <summary>
    /// Makes the console's writers safe and UTF-8, before anything is written. What goes to a closed stream would reach whatever file of the runtime's own has taken its number, such as the
    /// pipe by which it learns of signals: stderr takes it in silence, stdout refuses it. A stderr that is full is no reason to lose what stdout gets.
    /// </summary>
    public static void Guard()
    {
        if (OperatingSystem.IsWindows())
            Console.OutputEncoding = Encoding.UTF8; // there a console, and a file that is written by way of it, has the country's old code page
        Console.SetError(IsClosed(Error) ? TextWriter.Null : new UnheardWriter());
        if (OutputIsClosed)
            Console.SetOut(new ClosedWriter());
    }

    /// <summary>Whether this program was started with its input closed (as by the shell's <c>&lt;&amp;-</c>).</summary>
    public static bool InputIsClosed => IsClosed(Input);

    private static bool OutputIsClosed => IsClosed(Output);

    /// <summary>Standard output for text that takes long to make: to write to a pipe that nobody reads any more is an <see cref="IOException"/>, where the console's own stream goes on in silence.</summary>
    /// <exception cref="IOException">It is closed.</exception>
    public static Stream OpenOutput()
    {
        if (OutputIsClosed)
            throw ClosedWriter.Refusal();
        if (OperatingSystem.IsWindows() || !Console.IsOutputRedirected)
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

    /// <summary>Stands for a stdout that is closed.</summary>
    private sealed class ClosedWriter : TextWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public static IOException Refusal() => new("the standard output is closed, and this command writes to it.");

        public override void Write(char value) => throw Refusal();
    }

    /// <summary>Passes on to a stderr that may be full.</summary>
    private sealed class UnheardWriter : TextWriter
    {
        private TextWriter? _stderr; // made when there is something to write: a run that goes well has nothing to say before its text

        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value) => Write(value.ToString());

        public override void Write(char[] buffer, int index, int count) => Write(new string(buffer, index, count));

        public override void Write(string? value)
        {
            try
            {
                _stderr ??= new StreamWriter(Console.OpenStandardError(), bufferSize: 256) { AutoFlush = true };
                _stderr.Write(value);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
            }
        }

        public override void WriteLine(string? value) => Write(value + NewLine);
    }
}
