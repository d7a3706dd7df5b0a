using System.CommandLine;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Tokens;
using LlamaFullstack.Run;
using LlamaFullstack.Training;
using LlamaFullstack.Training.Distributed;
using LlamaFullstack.Training.Native;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs train: pretokenised stories → checkpoint and model.</summary>
internal static class TrainCommand
{
    public static Command Create()
    {
        var preset = Options.CreateWithoutDefault<string?>("--preset", $"Shape and settings of a known model: {string.Join(", ", TrainingOptions.Presets.Keys)}.");
        var config = Options.CreateWithoutDefault<string?>("--config", "JSON file of options, such as { \"dim\": 64 }. Overrides the preset; the command line overrides both.");
        var processes = Options.CreateWithoutDefault<int?>("--nproc_per_node", "Train in that many processes on this machine, started by mpirun.");
        var dryRun = Options.Create("--dry_run", "Print parameters, memory, tokens of an update and the time of the run, measured in some seconds of updates; write nothing.", false);
        var options = TrainingOptions.All.ToDictionary(option => option, AsOption);
        var command = new Command("train", "Train a model. Takes every option of llama2.c's train.py; README says which defaults are others.") { preset, config, processes, dryRun };
        foreach (var option in options.Values)
            command.Add(option);
        command.SetAction((parsed, cancellation) =>
        {
            if (ProcessGroup.IsLaunched)
                Environment.SetEnvironmentVariable("TERM", "dumb"); // Open MPI gives its ranks terminals, and .NET would begin each log with a terminal's ESC [?1h
            var given = options.Where(entry => parsed.GetResult(entry.Value) is not null)
                .Select(entry => (entry.Key.Name, parsed.GetValue(entry.Value) ?? "True")).ToList();
            var launches = parsed.GetValue(processes) is not (null or 1) && !ProcessGroup.IsLaunched && !parsed.GetValue(dryRun);
            if (launches && parsed.GetValue(config) is { } file)
                InputFile.CheckPlain(file); // each process reads it again, which of a pipe only the first could
            var resolved = TrainingOptions.Resolve(parsed.GetValue(preset), parsed.GetValue(config), given, cancellation);
            if (parsed.GetValue(dryRun))
                return Task.FromResult(DryRun(resolved, cancellation));
            return Task.FromResult(launches ? Launch(parsed.GetValue(processes)!.Value, resolved, cancellation) : Train(resolved, cancellation));
        });
        return command;
    }

    private static GroupedOption AsOption(TrainingOption option)
    {
        var made = new GroupedOption($"--{option.Name}", option.Group) { Description = $"{option.Description} [default: {option.Default}]" };
        if (option.Default is "True" or "False")
            made.Arity = ArgumentArity.ZeroOrOne; // --eval_only is --eval_only=True
        return made;
    }

    /// <summary>Gives the same command line to each process: an option of the launcher alone is passed over there.</summary>
    private static int Launch(int processes, TrainingConfig config, CancellationToken cancellation)
    {
        if (processes < 1)
            throw new UsageException($"--nproc_per_node {processes}: must be at least 1.");
        _ = config.MicroBatchesOfEach(processes); // what each would refuse is said once
        TokenSplits.Find(new DataFolder(config.DataDir, config.Dataset), config.DataVocabSize);
        return LocalLaunch.Run(processes, Environment.GetCommandLineArgs().Skip(1), ExitCode.UserSignal, cancellation);
    }

    private static int Train(TrainingConfig config, CancellationToken cancellation)
    {
        TorchRuntime.Load();
        using var ranks = ProcessGroup.Join(config.Device);
        // The log lines are what training puts out, beside its files, as in llama2.c: stdout.
        using var display = new TrainingDisplay(config.OutDir, config.MaxIters, drawsLosses: !config.EvalOnly);
        using var trainer = new Trainer(config, display, ranks, cancellation);
        try
        {
            trainer.Run(cancellation);
        }
        catch (OperationCanceledException) when (ranks.Size > 1)
        {
            ExitCode.Say("stopped."); // with another exit code than 0 mpirun would take the job for failed, and kill who is still writing
        }
        ranks.Leave();
        return 0;
    }

    private static int DryRun(TrainingConfig config, CancellationToken cancellation)
    {
        const int updates = 3; // at least: small models make more in the time, of which the first ones are still being compiled
        var time = TimeSpan.FromSeconds(3);
        TorchRuntime.Load();
        var update = Trainer.TimeUpdates(config, updates, time, cancellation);
        var parameters = config.Model.ParameterCount;
        var run = update * config.MaxIters;
        using var self = System.Diagnostics.Process.GetCurrentProcess();
        foreach (var line in (string[])[
            $"parameters:       {parameters:N0}",
            $"model and AdamW:  {parameters * 16 / 1e6:N1} MB (weights, gradients and two moments, 16 bytes a parameter)",
            $"peak memory:      {self.PeakWorkingSet64 / 1e6:N0} MB, this program included",
            $"tokens an update: {config.TokensPerIteration:N0}",
            $"an update:        {update.TotalMilliseconds:N0} ms, {config.TokensPerIteration / update.TotalSeconds:N0} tokens a second",
            $"the run:          {config.MaxIters:N0} updates, {(long)run.TotalHours} h {run.Minutes} min {run.Seconds} s without evaluations"])
            Console.Out.WriteLine(line);
        return 0;
    }
}
