using System.CommandLine;
using System.CommandLine.Parsing;
using LlamaFullstack.Core;
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
            return args.FirstOrDefault(arg => arg.StartsWith("--", StringComparison.Ordinal) && arg.EndsWith($"={unknown}", StringComparison.Ordinal)) is { } switched
                ? $"{switched}: expected True or False." : NotKnown(unknown, parsed.CommandResult.Command); // no other option leaves its value behind
        if (parsed.Errors.Count > 0)
            return Describe(parsed.Errors[0]);
        // The parser takes both of these for an option without a value, which of a switch would mean True.
        if (args.FirstOrDefault(arg => arg.StartsWith("--", StringComparison.Ordinal) && arg.IndexOf('=') == arg.Length - 1) is { } empty)
            return $"{empty}: needs a value after the equals sign.";
        var starved = parsed.CommandResult.Children.OfType<OptionResult>()
            .FirstOrDefault(option => option.Option.Arity.MinimumNumberOfValues > 0 && option.IdentifierTokenCount > option.Tokens.Count);
        return starved is null ? null : $"{starved.Option.Name}: given {starved.IdentifierTokenCount} times, but not always with a value.";
    }

    private static string NotKnown(string word, Command command)
    {
        if (command is RootCommand && File.Exists(word))
            return $"{word}: is a file, not a command. To run a model: llamafs run {word}.";
        var name = word.Split('=')[0];
        return $"{word}: not known here.{NearMiss.Hint(name, name.StartsWith('-') ? command.Options.Select(option => option.Name) : command.Subcommands.Select(sub => sub.Name))}";
    }

    // What is missing, in our own words: those of the parser say neither what is expected nor an example.
    private static string Describe(ParseError error) => (error.SymbolResult is ArgumentResult { Parent: OptionResult ofOption } ? ofOption : error.SymbolResult) switch
    {
        CommandResult { Command: { Subcommands.Count: > 0 } group } => $"{group.Name}: needs a command after it: {string.Join(", ", group.Subcommands.Select(sub => sub.Name))}.",
        CommandResult { Command: var command } result when command.Arguments.FirstOrDefault(argument => argument.Arity.MinimumNumberOfValues > 0 && result.GetResult(argument)?.Tokens.Count is null or 0) is { } missing =>
            Missing(command, missing),
        ArgumentResult { Argument: { Arity.MinimumNumberOfValues: > 0 } missing, Tokens.Count: 0, Parent: CommandResult { Command: var command } } => Missing(command, missing),
        OptionResult { Option: var option, Tokens.Count: 0 } result when option.Arity.MinimumNumberOfValues > 0 =>
            result.IdentifierTokenCount > 0 ? $"{option.Name}: needs a value after it." : $"{option.Name}: is needed. {option.Description}",
        OptionResult { Option: var option } result when result.Tokens.Count > option.Arity.MaximumNumberOfValues =>
            $"{option.Name}: given {result.Tokens.Count} times. Leave all but one of them out.",
        _ => error.Message,
    };

    private static string Missing(Command command, Argument argument) => $"{command.Name}: needs {argument.Name.ToUpperInvariant()} after it. {argument.Name.ToUpperInvariant()}: {argument.Description}";

    private static Stack<string> CommandNames(SymbolResult? result)
    {
        var names = new Stack<string>();
        for (; result is CommandResult { Command: not RootCommand } command; result = result.Parent)
            names.Push(command.Command.Name);
        return names;
    }
}
