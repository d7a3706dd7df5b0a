using System.CommandLine;
using System.CommandLine.Help;
using LlamaFullstack.Cli.Commands;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli;

/// <summary>The commands by name. Each is one file in Commands/.</summary>
internal static class CommandTable
{
    private static readonly (string Name, Func<Command> Create)[] Commands =
    [
        ("quickstart", QuickstartCommand.Create),
        ("data", DataCommand.Create),
        ("pull", PullCommand.Create),
        ("train", TrainCommand.Create),
        ("plot", PlotCommand.Create),
        ("sample", SampleCommand.Create),
        ("export", ExportCommand.Create),
        ("export-tokenizer", ExportTokenizerCommand.Create),
        ("inspect", InspectCommand.Create),
        ("verify", VerifyCommand.Create),
        ("run", Run),
        ("eval", EvalCommand.Create),
        ("bench", BenchCommand.Create),
    ];

    /// <summary>The root with the command that was asked for, or with all of them for the help: building them all would be most of a short run.</summary>
    public static RootCommand RootFor(string[] args)
    {
        var root = new RootCommand("llamafs: train a small Llama 2 model on your own text and run it. All in .NET.");
        root.Directives.Clear(); // [suggest] would answer a prompt in brackets
        root.Options.OfType<HelpOption>().Single().Action = new CommandHelp();
        var asked = Commands.Where(command => args.Length > 0 && command.Name == args[0]).ToArray();
        foreach (var (_, create) in asked.Length > 0 ? asked : Commands)
            root.Add(create());
        return root;
    }

    // Its words are its own to parse: see RunOptions. Program goes there at once; here it is for quickstart and for the list of commands.
    private static Command Run()
    {
        var command = new Command("run", RunOptions.Description) { TreatUnmatchedTokensAsErrors = false };
        command.SetAction((parsed, cancellation) => Task.FromResult(RunProgram.Run("llamafs run", parsed.UnmatchedTokens, cancellation)));
        return command;
    }
}
