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
    private const string OutputName = "the standard output";
    private const int GetFlags = 1; // F_GETFD
    private const int CloseOnExec = 1; // FD_CLOEXEC

    /// <summary>
    /// Makes the console's writers safe and UTF-8, before anything is written. What goes to a closed stream would reach whatever file of the runtime's own has taken its number, such as the
    /// pipe by which it learns of signals: stderr takes it in silence, stdout refuses it. A stderr that is full is no reason to lose what stdout gets. Of what goes wrong with stdout,
    /// the message begins with its name, as it does of any file.
    /// </summary>
    public static void Guard()
    {
        if (OperatingSystem.IsWindows())
        {
            var before = Console.OutputEncoding; // the country's old code page, which whoever uses the console next may count on
            AppDomain.CurrentDomain.ProcessExit += (_, _) => Console.OutputEncoding = before;
            Console.OutputEncoding = Encoding.UTF8;
        }
        Console.SetError(IsClosed(Error) ? TextWriter.Null : new UnheardWriter());
        Console.SetOut(new LazyWriter(() => OutputIsClosed ? throw ClosedOutput() : new NamedStream(Console.OpenStandardOutput())));
    }

    /// <summary>Standard input as text; without any where this program was started with it closed (as by the shell's <c>&lt;&amp;-</c>).</summary>
    public static StreamReader OpenInput()
    {
        if (IsClosed(Input))
            return StreamReader.Null;
        if (!OperatingSystem.IsWindows() || Console.IsInputRedirected)
            return new StreamReader(Console.OpenStandardInput(), Encoding.UTF8);
        Console.InputEncoding = Encoding.Unicode; // then .NET takes characters, whatever the console's code page, and leaves that as it is
        return new StreamReader(Console.OpenStandardInput(), Encoding.Unicode);
    }

    private static bool OutputIsClosed => IsClosed(Output);

    /// <summary>Standard output for text that takes long to make: to write to a pipe that nobody reads any more is an <see cref="IOException"/>, where the console's own stream goes on in silence.</summary>
    /// <exception cref="IOException">It is closed.</exception>
    public static Stream OpenOutput()
    {
        if (OutputIsClosed)
            throw ClosedOutput();
        if (OperatingSystem.IsWindows() || !Console.IsOutputRedirected)
            return new NamedStream(Console.OpenStandardOutput());
        var output = new FileStream(new SafeFileHandle(Output, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        // In a file it would count its own position, and whoever writes to the same file afterwards would begin where we did.
        return new NamedStream(output.CanSeek ? Console.OpenStandardOutput() : output);
    }

    // The runtime's own files take the number of a closed one, and to read them would never end. What was inherited is not closed on exec,
    // or it would not be here; what the runtime opens is.
    private static bool IsClosed(int file) => !OperatingSystem.IsWindows() && FileFlags(file, GetFlags) is < 0 or CloseOnExec;

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int FileFlags(int file, int command);

    private static IOException ClosedOutput() => new($"{OutputName}: is closed, and this command writes to it.");

    /// <summary>Stdout, whose errors .NET tells without a name.</summary>
    private sealed class NamedStream(Stream stream) : Stream
    {
        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Flush() => stream.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            try
            {
                stream.Write(buffer);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new IOException($"{OutputName}: {e.Message.TrimEnd('.')}.", e.HResult);
            }
        }

        protected override void Dispose(bool disposing)
        {
            stream.Dispose();
            base.Dispose(disposing);
        }
    }

    /// <summary>Opens its stream when there is something to write: most runs that go well have nothing to say but their text.</summary>
    private class LazyWriter(Func<Stream> open) : TextWriter
    {
        private StreamWriter? _writer;

        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value) => Write($"{value}");

        public override void Write(char[] buffer, int index, int count) => Write(new string(buffer, index, count));

        public override void Write(string? value) => (_writer ??= new StreamWriter(open(), bufferSize: 256) { AutoFlush = true }).Write(value);

        public override void WriteLine(string? value) => Write(value + NewLine);
    }

    /// <summary>Passes on to a stderr that may be full.</summary>
    private sealed class UnheardWriter() : LazyWriter(Console.OpenStandardError)
    {
        public override void Write(string? value)
        {
            try
            {
                base.Write(value);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
            }
        }
    }
}
