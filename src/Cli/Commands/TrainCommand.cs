using System.CommandLine;
using LlamaFullstack.Run;
using LlamaFullstack.Training;
using LlamaFullstack.Training.Native;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs train: pretokenised stories → checkpoint and model.</summary>
internal static class TrainCommand
{
    public static Command Create()
    {
        var preset = Options.CreateWithoutDefault<string?>("--preset", $"Shape and settings of a known model: {string.Join(", ", TrainingOptions.Presets.Keys)}.");
        var config = Options.CreateWithoutDefault<string?>("--config", "JSON file of options, such as { \"dim\": 64 }. Overrides the preset; the command line overrides both.");
        var options = TrainingOptions.All.ToDictionary(option => option, AsOption);
        var command = new Command("train", "Train a model. Every option of llama2.c's train.py, under the same name and default.") { preset, config };
        foreach (var option in options.Values)
            command.Add(option);
        command.SetAction((parsed, cancellation) =>
        {
            var given = options.Where(entry => parsed.GetResult(entry.Value) is not null)
                .Select(entry => (entry.Key.Name, parsed.GetValue(entry.Value) ?? "True")).ToList();
            return Task.FromResult(Train(TrainingOptions.Resolve(parsed.GetValue(preset), parsed.GetValue(config), given), cancellation));
        });
        return command;
    }

    private static Option<string?> AsOption(TrainingOption option)
    {
        var made = Options.CreateWithoutDefault<string?>($"--{option.Name}", $"{option.Group}: {option.Description} [default: {option.Default}]");
        if (option.Default is "True" or "False")
            made.Arity = ArgumentArity.ZeroOrOne; // --eval_only is --eval_only=True
        return made;
    }

    private static int Train(TrainingConfig config, CancellationToken cancellation)
    {
        if (Environment.GetEnvironmentVariable("WORLD_SIZE") is { Length: > 0 } worldSize and not "1")
            throw new UsageException($"WORLD_SIZE={worldSize}: training in several processes is not built yet; unset it to train in one.");
        TorchRuntime.Load();
        // The log lines are what training puts out, beside its files, as in llama2.c: stdout.
        using var trainer = new Trainer(config, new Reporter<TrainingEvent>(Console.Out.WriteLine));
        trainer.Run(cancellation);
        return 0;
    }
}
