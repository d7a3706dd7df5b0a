using System.CommandLine;
using System.CommandLine.Parsing;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli;

/// <summary>Runs a command line from parsing to exit code.</summary>
internal static class Invocation
{
    // A word that begins with @ is itself (a prompt, a file's name), not a file of more arguments.
    private static readonly ParserConfiguration Plain = new() { ResponseFileTokenReplacer = null };

    /// <summary>0 success, 1 failure, 2 wrong usage, 130 stopped by the user.</summary>
    public static int Run(string[] args)
    {
        var parsed = Parse(args.Length == 0 ? ["--help"] : args);
        if (FindProblem(parsed, args) is { } problem)
        {
            ExitCode.Say($"{problem} See {string.Join(' ', ["llamafs", .. CommandNames(parsed.CommandResult), "--help"])}.");
            return ExitCode.Usage;
        }
        return ExitCode.Of(cancellation => Invoke(parsed, cancellation));
    }

    /// <summary>Parses a command line.</summary>
    public static ParseResult Parse(string[] args) => CommandTable.RootFor(args).Parse(args, Plain);

    /// <summary>Runs a parsed command. Its exceptions are the caller's.</summary>
    public static int Invoke(ParseResult parsed, CancellationToken cancellation) =>
        parsed.InvokeAsync(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, cancellation).GetAwaiter().GetResult();

    private static string? FindProblem(ParseResult parsed, string[] args)
    {
        if (parsed.UnmatchedTokens is [var unknown, ..] && parsed.Errors.Count > 0)
            return $"{unknown}: not known here.";
        if (parsed.Errors.Count > 0)
            return parsed.Errors[0].Message;
        // The parser takes both of these for an option without a value, which of a switch would mean True.
        if (args.FirstOrDefault(arg => arg.StartsWith("--", StringComparison.Ordinal) && arg.IndexOf('=') == arg.Length - 1) is { } empty)
            return $"{empty}: needs a value after the equals sign.";
        var starved = parsed.CommandResult.Children.OfType<OptionResult>()
            .FirstOrDefault(option => option.Option.Arity.MinimumNumberOfValues > 0 && option.IdentifierTokenCount > option.Tokens.Count);
        return starved is null ? null : $"{starved.Option.Name}: given {starved.IdentifierTokenCount} times, but not always with a value.";
    }

    private static Stack<string> CommandNames(SymbolResult? result)
    {
        var names = new Stack<string>();
        for (; result is CommandResult { Command: not RootCommand } command; result = result.Parent)
            names.Push(command.Command.Name);
        return names;
    }
}
