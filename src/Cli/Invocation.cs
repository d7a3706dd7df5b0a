using System.CommandLine;
using System.Runtime.InteropServices;

namespace LlamaFullstack.Cli;

/// <summary>Runs a command line from parsing to exit code: one clear line for what goes wrong, a clean stop on Ctrl-C.</summary>
internal static class Invocation
{
    private const int Failure = 1;
    private const int Usage = 2;
    private const int Cancelled = 130;
    private const int BrokenPipe = 32; // EPIPE on Linux and macOS: whoever read our output has left, which is no failure to report

    // A word that begins with @ is itself (a prompt, a file's name), not a file of more arguments.
    public static readonly ParserConfiguration Plain = new() { ResponseFileTokenReplacer = null };

    /// <summary>0 success, 1 failure, 2 wrong usage, 130 stopped by the user.</summary>
    public static int Run(RootCommand root, string[] args)
    {
        var parsed = root.Parse(args.Length == 0 ? ["--help"] : args, Plain);
        if (parsed.Errors.Count > 0)
        {
            var what = OneLine(parsed.UnmatchedTokens is [var unknown, ..] ? $"{unknown}: not known here." : parsed.Errors[0].Message);
            Say($"{what} See {string.Join(' ', ["llamafs", .. CommandNames(parsed.CommandResult), "--help"])}.");
            return Usage;
        }

        using var stop = new CancellationTokenSource();
        void Stop(PosixSignalContext context)
        {
            context.Cancel = !stop.IsCancellationRequested; // the first asks, the second insists
            stop.Cancel();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        try
        {
            return Invoke(parsed, stop.Token);
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

    /// <summary>Runs a parsed command. Its exceptions are the caller's.</summary>
    public static int Invoke(ParseResult parsed, CancellationToken cancellation) =>
        parsed.InvokeAsync(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, cancellation).GetAwaiter().GetResult();

    private static (int Code, string Message) Describe(Exception e) => e switch
    {
        UsageException => (Usage, e.Message),
        ArgumentException => (Usage, OneLine(e.Message.Split(" (Parameter ")[0])),
        InvalidDataException or IOException or UnauthorizedAccessException or HttpRequestException or NotSupportedException => (Failure, OneLine(e.Message)),
        OutOfMemoryException => (Failure, "not enough memory. Close other programs, or use a smaller model or batch."),
        _ => (Failure, $"internal error: {e.GetType().Name}: {OneLine(e.Message.Split('\n')[0])} Set LLAMAFS_DEBUG=1 to see where, and please report it."),
    };

    // Where stderr is closed or full there is nobody left to tell; the exit code still tells it.
    private static void Say(string line)
    {
        try
        {
            Console.Error.WriteLine(line);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }

    private static string OneLine(string text) => text.ReplaceLineEndings(" ");

    private static Stack<string> CommandNames(System.CommandLine.Parsing.SymbolResult? result)
    {
        var names = new Stack<string>();
        for (; result is System.CommandLine.Parsing.CommandResult { Command: not RootCommand } command; result = result.Parent)
            names.Push(command.Command.Name);
        return names;
    }
}
