using System.Diagnostics;
using System.Runtime.InteropServices;

namespace LlamaFullstack.Run;

/// <summary>How a program ends: one clear line on stderr for what went wrong, a clean stop on Ctrl-C.</summary>
public static class ExitCode
{
    /// <summary>It did what it should.</summary>
    public const int Done = 0;

    /// <summary>A file, the data or the system did not allow it.</summary>
    public const int Failure = 1;

    /// <summary>The command line asks for something that cannot be.</summary>
    public const int Usage = 2;

    /// <summary>The user stopped it.</summary>
    public const int Cancelled = 130;

    /// <summary>SIGUSR1: what mpirun hands on to the processes that it has started, and Slurm sends before the time is up where it is told to.</summary>
    public static int UserSignal { get; } = OperatingSystem.IsLinux() ? 10 : 30;

    // What the assemblies here are called.
    private const string Ours = "LlamaFullstack.";

    private const int BrokenPipe = 32; // EPIPE on Linux and macOS: whoever read our output has left, which is no failure to report
    private const int NoSpace = 28; // ENOSPC, likewise

    /// <summary>Runs a program's work. Ctrl-C, SIGTERM, SIGUSR1 or the end of its terminal cancels it; a second Ctrl-C kills it.</summary>
    /// <param name="work">Returns its exit code.</param>
    public static int Of(Func<CancellationToken, int> work)
    {
        using var stop = new CancellationTokenSource();
        void Stop(PosixSignalContext context)
        {
            // The first asks, a second Ctrl-C insists. Launchers may send several of the others.
            context.Cancel = !stop.IsCancellationRequested || context.Signal != PosixSignal.SIGINT;
            stop.Cancel();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Stop);
        using var user = OperatingSystem.IsWindows() ? null : PosixSignalRegistration.Create((PosixSignal)UserSignal, Stop);
        try
        {
            return work(stop.Token);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            Say("stopped.");
            return Cancelled;
        }
        catch (IOException e) when (e.HResult == BrokenPipe)
        {
            return Failure;
        }
        catch (Exception e) when (Environment.GetEnvironmentVariable("LLAMAFS_DEBUG") != "1")
        {
            var (code, message) = Describe(e);
            Say(message);
            return code;
        }
    }

    /// <summary>Writes a line to stderr; what a name of a file in it may have is shown, not obeyed by the terminal.</summary>
    public static void Say(string line) => Console.Error.WriteLine(TextColumns.Printable(line.ReplaceLineEndings(" ")));

    private static (int Code, string Message) Describe(Exception e) => e switch
    {
        UsageException => (Usage, e.Message),
        ArgumentException when IsThrownHere(e) => (Usage, e.Message.Split(" (Parameter ")[0]),
        IOException when (e.HResult & 0xFFFF) == NoSpace => (Failure, $"{e.Message.TrimEnd('.')}. Free some space, or write to another disk."),
        InvalidDataException or IOException or UnauthorizedAccessException or HttpRequestException or NotSupportedException => (Failure, e.Message),
        OutOfMemoryException => (Failure, "not enough memory. Close other programs, or use a smaller model or batch."),
        _ => (Failure, $"internal error: {e.GetType().Name}: {e.Message.Split('\n')[0]} Set LLAMAFS_DEBUG=1 to see where, and please report it."),
    };

    // What the libraries here say of an argument is what the user asked for; the runtime's own ArgumentException is a fault of this program.
    // Exception.Source would tell the same, but not in a program that was compiled ahead of time.
    private static bool IsThrownHere(Exception e) =>
        new StackTrace(e).GetFrame(0) is { } thrower && DiagnosticMethodInfo.Create(thrower)?.DeclaringAssemblyName.StartsWith(Ours, StringComparison.Ordinal) == true;
}
