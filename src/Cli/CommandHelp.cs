using System.CommandLine;
using System.CommandLine.Invocation;
using System.Globalization;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli;

/// <summary>The help of any command: each option under its first name, options of one group together.</summary>
internal sealed class CommandHelp : SynchronousCommandLineAction
{
    /// <summary>Who asks for help may leave out what the command needs.</summary>
    public override bool ClearsParseErrors => true;

    /// <summary>Prints the help of the command that was asked for.</summary>
    public override int Invoke(ParseResult parseResult)
    {
        PageOf(parseResult.CommandResult.Command).Print();
        return ExitCode.Done;
    }

    private static HelpPage PageOf(Command command)
    {
        var options = command.Options.ToList();
        var words = new List<string> { NameOf(command) };
        words.AddRange(command.Arguments.Select(argument => argument.Arity.MinimumNumberOfValues == 0 ? $"[{Placeholder(argument)}]" : Placeholder(argument)));
        words.Add(command.Subcommands.Count > 0 ? "COMMAND [options]" : "[options]");
        var page = new HelpPage(command.Description!, string.Join(' ', words))
        {
            Note = options.Any(option => option.Name.Contains('_')) ? $"Names may have dashes instead of underscores, and values an equals sign: {Example(options)}" : null,
        };
        page.Add("Commands", command.Subcommands.Select(sub => (sub.Name, sub.Description!)));
        page.Add(null, command.Arguments.Select(argument => (Placeholder(argument), Describe(argument.Description, argument.HasDefaultValue ? argument.GetDefaultValue() : null))));
        var hasLetters = options.Any(option => Letter(option) is not null);
        foreach (var group in options.GroupBy(option => (option as GroupedOption)?.Group ?? "Options"))
            page.Add(group.Key, group.Select(option => (NamesOf(option, hasLetters),
                (option.Required ? "Required. " : "") + Describe(option.Description, option.HasDefaultValue ? option.GetDefaultValue() : null))));
        return page;
    }

    private static string NameOf(Command command) =>
        command is RootCommand ? "llamafs" : $"{NameOf(command.Parents.OfType<Command>().Single())} {command.Name}";

    private static string Placeholder(Argument argument) => argument.Name.ToUpperInvariant();

    private static string NamesOf(Option option, bool hasLetters) => Letter(option) is { } letter ? $"{letter}, {option.Name}" : hasLetters ? $"    {option.Name}" : option.Name;

    private static string? Letter(Option option) => option.Aliases.FirstOrDefault(alias => alias is ['-', var letter] && char.IsAsciiLetter(letter)); // help's are -?, /?, -h, /h

    private static string Example(List<Option> options)
    {
        var name = options.First(option => option.Name.Contains('_')).Name;
        return $"{name} VALUE is {name.Replace('_', '-')}=VALUE.";
    }

    private static string Describe(string? description, object? defaultValue) =>
        defaultValue is null or false or "" ? description! : string.Create(CultureInfo.InvariantCulture, $"{description} [default: {defaultValue}]");
}
