using System.CommandLine;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs plot: folders of runs → one picture of their losses and learning rates.</summary>
internal static class PlotCommand
{
    public static Command Create()
    {
        var runs = new Argument<string[]>("runs") { Description = "Folders of runs, such as out.", Arity = ArgumentArity.OneOrMore };
        var output = Options.Create("--output", "The PNG file to write.", "loss.png", "-o");
        var command = new Command("plot", "Draw the losses of one or more training runs.") { runs, output };
        command.SetAction(parsed =>
        {
            LossPlot.Draw(parsed.GetValue(runs)!, parsed.GetValue(output)!);
            Console.WriteLine($"wrote {parsed.GetValue(output)}");
            return 0;
        });
        return command;
    }
}
