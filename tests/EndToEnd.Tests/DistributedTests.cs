using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace LlamaFullstack.EndToEnd.Tests;

/// <summary>One model trained by several processes, which Open MPI or MPICH connects.</summary>
public class DistributedTests
{
    private static readonly string[] Model =
        ["train", "--dataset=sample", "--vocab_size=320", "--max_seq_len=64", "--dim=32", "--n_layers=3", "--n_heads=4", "--n_kv_heads=2",
         "--multiple_of=16", "--batch_size=8", "--device=cpu", "--dtype=float32", "--learning_rate=1e-2", "--warmup_iters=5", "--eval_iters=3"];

    private static readonly (string, string)[] OneThread = [("OMP_NUM_THREADS", "1")];

    [Fact]
    public void Train_TwoRanksThatShareTheBatch_LearnAsOneDoes()
    {
        NeedsMpi();
        using var folder = Prepared();
        string[] run = [.. Model, "--gradient_accumulation_steps=2", "--eval_interval=25", "--log_interval=1"];
        Llamafs.Run([.. run, "--max_iters=50", "--out_dir=one"], folder.Path, environment: OneThread).AssertSucceeds();
        var two = Llamafs.Run([.. run, "--max_iters=50", "--out_dir=two", "--nproc_per_node=2"], folder.Path, environment: OneThread).AssertSucceeds();

        // The same sequences, summed in another order; of two ranks the first alone reports.
        Assert.Contains("rank 0 of 2 by", two.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("\e", two.Out + two.Error, StringComparison.Ordinal); // Open MPI's ranks believe to be on a terminal
        AssertSameLosses(folder, "one", "two");

        // Another number of processes goes on where these stopped.
        var resumed = Llamafs.Run([.. run, "--out_dir=two", "--init_from=resume", "--max_iters=52"], folder.Path, environment: OneThread).AssertSucceeds();
        Assert.Contains("at update 50", resumed.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Train_TwoRanksByMpich_LearnAsOneDoes()
    {
        using var folder = Prepared();
        string[] run = [.. Model, "--gradient_accumulation_steps=2", "--log_interval=1", "--max_iters=50"];
        Llamafs.Run([.. run, "--out_dir=one"], folder.Path, environment: OneThread).AssertSucceeds();
        var output = SystemProgram.Run("mpirun.mpich",
            ["-genv", "OMP_NUM_THREADS", "1", "-wdir", folder.Path, "-n", "2", Llamafs.Program, .. run, "--out_dir=two"]);
        Assert.Contains("rank 0 of 2 by MPICH", output, StringComparison.Ordinal);
        AssertSameLosses(folder, "one", "two");
    }

    [Fact]
    public async Task Train_ARankIsKilled_EndsTheOthersAndKeepsTheCheckpoint()
    {
        NeedsMpi();
        using var folder = Prepared();
        string[] run = [.. Model, "--gradient_accumulation_steps=2", "--eval_interval=20", "--always_save_checkpoint", "--log_interval=1"];
        using var job = Llamafs.Start([.. run, "--max_iters=100000", "--nproc_per_node=2"], folder.Path, OneThread);
        var error = job.StandardError.ReadToEndAsync();
        while (job.StandardOutput.ReadLine() is { } line && !line.StartsWith("30 |", StringComparison.Ordinal)) { }
        _ = job.StandardOutput.ReadToEndAsync();
        using (var kill = Process.Start("kill", ["-KILL", LastRank(job.Id)]))
            kill.WaitForExit();

        Assert.True(job.WaitForExit(Llamafs.Limit), "the other rank does not end");
        Assert.NotEqual(0, job.ExitCode);
        Assert.Contains("signal 9", await error, StringComparison.Ordinal);
        var resumed = Llamafs.Run([.. run, "--init_from=resume", "--max_iters=61"], folder.Path, environment: OneThread);
        Assert.Contains("Resuming training", resumed.AssertSucceeds().Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Train_InterruptedFromATerminal_SavesTheStateOfBothRanks()
    {
        NeedsMpi();
        using var folder = Prepared();
        string[] run = [.. Model, "--gradient_accumulation_steps=2", "--log_interval=1", "--eval_interval=100000", "--max_iters=100000", "--nproc_per_node=2"];
        // A session of its own, whose whole group gets the signal, as a terminal sends it.
        var start = new ProcessStartInfo("setsid", [Llamafs.Program, .. run]) { WorkingDirectory = folder.Path, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["OMP_NUM_THREADS"] = "1";
        using var job = Process.Start(start)!;
        var error = job.StandardError.ReadToEndAsync();
        while (job.StandardOutput.ReadLine() is { } line && !line.StartsWith("20 |", StringComparison.Ordinal)) { }
        var rest = job.StandardOutput.ReadToEndAsync();
        using (var stop = Process.Start("kill", ["-TERM", "--", $"-{job.Id}"])) // not INT, which what runs in the background ignores
            stop.WaitForExit();

        Assert.True(job.WaitForExit(Llamafs.Limit), "the run does not end");
        Assert.True(job.ExitCode == 130, $"exit code {job.ExitCode}; stderr: {await error}");
        Assert.Contains("saving checkpoint", await rest, StringComparison.Ordinal);
        Assert.True(File.Exists(folder.File("out/ckpt.safetensors")));
    }

    [Fact]
    public async Task Train_StoppedUnderMpirun_SavesAndIsNoFailure()
    {
        NeedsMpi();
        using var folder = Prepared();
        var start = new ProcessStartInfo("mpirun.openmpi",
            ["--allow-run-as-root", "--oversubscribe", "-n", "2", Llamafs.Program, .. Model, "--gradient_accumulation_steps=2", "--log_interval=1", "--eval_interval=100000", "--max_iters=100000"])
        { WorkingDirectory = folder.Path, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["OMP_NUM_THREADS"] = "1";
        using var job = Process.Start(start)!;
        var error = job.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        while (job.StandardOutput.ReadLine() is { } line && !line.StartsWith("20 |", StringComparison.Ordinal)) { }
        var rest = job.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        using (var stop = Process.Start("kill", ["-USR1", $"{job.Id}"])) // which mpirun hands on
            stop.WaitForExit();

        Assert.True(job.WaitForExit(Llamafs.Limit), "the run does not end");
        Assert.True(job.ExitCode == 0, $"exit code {job.ExitCode}; stderr: {await error}");
        Assert.Contains("saving checkpoint", await rest, StringComparison.Ordinal);
    }

    [Fact]
    public void Train_OneProcess_NeedsNoLauncher()
    {
        using var folder = Prepared();
        var alone = Llamafs.Run([.. Model, "--max_iters=1", "--nproc_per_node=1"], folder.Path, environment: ("PATH", "/nowhere"));
        Assert.Contains("training on cpu", alone.AssertSucceeds().Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Train_BatchThatRanksCannotShare_IsRefused()
    {
        NeedsMpi();
        using var folder = Prepared();
        Llamafs.Run([.. Model, "--gradient_accumulation_steps=3", "--nproc_per_node=2"], folder.Path, environment: OneThread)
            .AssertFails(2, "--gradient_accumulation_steps 3: must be a multiple of the 2 processes");
        Llamafs.Run([.. Model, "--data_dir=nowhere", "--gradient_accumulation_steps=2", "--nproc_per_node=2"], folder.Path, environment: OneThread)
            .AssertFails(1, "no pretokenised shards");
    }

    [Fact]
    public void Train_AFolderThatOnlyTheFirstRankFindsWrong_SaysSo()
    {
        NeedsMpi();
        using var folder = Prepared();
        folder.Write("out", []); // a file
        var refused = Llamafs.Run([.. Model, "--gradient_accumulation_steps=2", "--nproc_per_node=2"], folder.Path, environment: OneThread);
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("out: is a file", refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Train_SrunWithoutItsPlugin_SaysWhichToAskFor()
    {
        NeedsMpi();
        using var folder = Prepared();
        Llamafs.Run([.. Model, "--gradient_accumulation_steps=2"], folder.Path, "", ("SLURM_STEP_NUM_TASKS", "2")).AssertFails(1, "Start it with srun --mpi=pmi2 for MPICH, --mpi=pmix for Open MPI.");
    }

    [Fact]
    public void Train_TorchrunOnAProcessor_SaysWhatToUse() =>
        Llamafs.Run(["train", "--device=cpu"], null, "", ("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")).AssertFails(2, "mpirun -n 2 llamafs train");

    private static void NeedsMpi()
    {
        try
        {
            using var version = Process.Start(new ProcessStartInfo("mpirun", "--version") { RedirectStandardOutput = true, RedirectStandardError = true })!;
            if (version.StandardOutput.ReadToEnd().Contains("Open MPI", StringComparison.Ordinal))
                return;
        }
        catch (System.ComponentModel.Win32Exception)
        {
        }
        Assert.Skip("Open MPI's mpirun is not installed (Debian: openmpi-bin)");
    }

    private static TempFolder Prepared()
    {
        var folder = new TempFolder();
        Llamafs.Run(["data", "sample", "--num_stories=500"], folder.Path).AssertSucceeds();
        Llamafs.Run(["data", "train_vocab", "--dataset=sample", "--vocab_size=320"], folder.Path).AssertSucceeds();
        Llamafs.Run(["data", "pretokenize", "--dataset=sample", "--vocab_size=320"], folder.Path).AssertSucceeds();
        return folder;
    }

    /// <summary>50 updates each, of which no loss differs by more than 1e-5.</summary>
    private static void AssertSameLosses(TempFolder folder, string expected, string actual)
    {
        List<double> Losses(string run) =>
            [.. File.ReadLines(folder.File(Path.Combine(run, "metrics.jsonl"))).Select(line => JsonDocument.Parse(line).RootElement)
                .Where(line => line.TryGetProperty("loss", out _)).Select(line => line.GetProperty("loss").GetDouble())];
        var (a, b) = (Losses(expected), Losses(actual));
        Assert.Equal((50, 50), (a.Count, b.Count));
        Assert.All(a.Zip(b, (x, y) => Math.Abs(x - y)), difference => Assert.InRange(difference, 0, 1e-5));
    }

    /// <summary>The youngest grandchild: llamafs → mpirun → ranks.</summary>
    private static string LastRank(int launcher)
    {
        static string Children(string of)
        {
            using var list = Process.Start(new ProcessStartInfo("ps", $"--no-headers -o pid --ppid {of}") { RedirectStandardOutput = true })!;
            return list.StandardOutput.ReadToEnd();
        }
        var mpirun = Children(launcher.ToString(CultureInfo.InvariantCulture)).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)[0];
        return Children(mpirun).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)[^1];
    }
}
