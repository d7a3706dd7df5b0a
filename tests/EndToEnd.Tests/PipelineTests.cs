using System.Diagnostics;

namespace LlamaFullstack.EndToEnd.Tests;

/// <summary>Text to story with the built-in stories, and what happens when training is stopped on the way.</summary>
public class PipelineTests
{
    private static readonly string[] TinyModel =
        ["train", "--dataset=sample", "--vocab_size=320", "--max_seq_len=64", "--dim=32", "--n_layers=2", "--n_heads=4", "--n_kv_heads=2",
         "--multiple_of=16", "--batch_size=8", "--gradient_accumulation_steps=1", "--device=cpu", "--dtype=float32", "--learning_rate=1e-2", "--eval_iters=2"];

    [Fact]
    public void Pipeline_SampleToStory_WorksInEveryFormat()
    {
        using var folder = new TempFolder();
        Prepare(folder);
        Llamafs.Run([.. TinyModel, "--max_iters=40", "--warmup_iters=5", "--eval_interval=20"], folder.Path).AssertSucceeds();
        foreach (var version in new[] { "0", "1", "2" })
            Llamafs.Run(["export", $"out/v{version}.bin", "--version", version], folder.Path).AssertSucceeds();
        string Story(string model) => Llamafs.Run(["run", $"out/{model}.bin", "-t", "0", "-n", "40", "-i", "Once upon"], folder.Path).AssertSucceeds().Out;
        var story = Story("model");
        Assert.StartsWith("Once upon", story);
        Assert.True(story.Length > "Once upon\n".Length, $"nothing follows the prompt: {story}");
        Assert.Equal(Story("v0"), Story("v1"));
        Story("v2");

        // "Which gives the same results": torch and the engine, from the last checkpoint, greedy. Torch counts new tokens, the engine all.
        var sampled = Llamafs.Run(["sample", "--temperature=0", "--start=Once upon", "--max_new_tokens=100"], folder.Path).AssertSucceeds();
        Assert.StartsWith(Story("v0").TrimEnd('\n'), sampled.Out);
    }

    [Fact]
    public void Run_OfTraining_IsRecordedPlottedAndEvaluatedAlike()
    {
        using var folder = new TempFolder();
        Prepare(folder);
        string[] run = [.. TinyModel, "--max_iters=20", "--warmup_iters=5", "--eval_interval=10"];
        // Nor need it write elsewhere: into no folder of the user's, on a system whose libstdc++ is older than TorchSharp's either.
        Assert.Contains("tokens an update: 512", Llamafs.Run([.. run, "--dry_run"], folder.Path, "", ("HOME", "/dev/null"), ("XDG_CACHE_HOME", "/dev/null")).AssertSucceeds().Out, StringComparison.Ordinal);
        Assert.False(Directory.Exists(folder.File("out")));

        Assert.Contains("sample at 20: ", Llamafs.Run(run, folder.Path).AssertSucceeds().Out, StringComparison.Ordinal);
        foreach (var file in new[] { "config.json", "metrics.jsonl", "samples.txt", "tokens.manifest", "tokenizer.bin", "loss.png" })
            Assert.True(File.Exists(folder.File($"out/{file}")), file);
        Llamafs.Run(["plot", "out", "-o", "two.png"], folder.Path).AssertSucceeds();
        byte[] png = [0x89, (byte)'P', (byte)'N', (byte)'G'];
        Assert.Equal(png, File.ReadAllBytes(folder.File("two.png"))[..4]);
        Llamafs.Run(["plot", "nowhere"], folder.Path).AssertFails(1, "nowhere is not the folder of a run");

        // Torch's checkpoint and the engine's file, to six digits: fp32 on both sides.
        double[] Figures(string model) => [.. Llamafs.Run(["eval", model, "--dataset=sample", "--max_tokens=4000"], folder.Path).AssertSucceeds().Out
            .Split(' ').Where((_, i) => i is 2 or 8).Select(word => double.Parse(word, System.Globalization.CultureInfo.InvariantCulture))];
        Llamafs.Run(["export", "out/last.bin"], folder.Path).AssertSucceeds();
        var (torch, engine) = (Figures("out/ckpt.safetensors"), Figures("out/last.bin"));
        Assert.Equal(2, torch.Length);
        Assert.Equal(torch[0], engine[0], 1e-5);
        Assert.Equal(torch[1], engine[1], 1e-5);
        Assert.InRange(torch[1], 1, 8.5);

        // A checkpoint of PyTorch's is the same model to all that read models.
        Llamafs.Run(["export", "out/x.pt"], folder.Path).AssertSucceeds();
        Assert.Equal(torch, Figures("out/x.pt"), (a, b) => Math.Abs(a - b) <= 1e-5);
        string Sample(string model) => Llamafs.Run(["sample", $"--checkpoint={model}", "--max_new_tokens=20"], folder.Path).AssertSucceeds().Out;
        Assert.Equal(Sample("out"), Sample("out/x.pt")); // a run's folder is its checkpoint

        Llamafs.Run(["eval", "out/x.pt", "--dataset=sample", "--max_tokens=-5"], folder.Path).AssertFails(2, "--max_tokens -5: expected 0 or more.");
        // A model without its tokenizer is evaluated as run runs it: with -z.
        File.Copy(folder.File("out/last.bin"), folder.File("alone.bin"));
        string[] alone = ["eval", "alone.bin", "--dataset=sample", "--max_tokens=4000"];
        Llamafs.Run(alone, folder.Path).AssertFails(1, "alone.bin: ");
        Assert.StartsWith("val loss", Llamafs.Run([.. alone, "-z", "out/tokenizer.bin"], folder.Path).AssertSucceeds().Out, StringComparison.Ordinal);
        var nan = File.ReadAllBytes(folder.File("out/last.bin"));
        BitConverter.TryWriteBytes(nan.AsSpan(nan.Length / 2 & ~3), float.NaN);
        folder.Write("out/nan.bin", nan);
        Llamafs.Run(["eval", "out/nan.bin", "--dataset=sample"], folder.Path).AssertFails(1, "out/nan.bin: the loss of tokens 0 to 64 is not a finite number.");
    }

    [Fact]
    public void Train_InterruptedAndKilled_GoesOnFromItsLastCheckpoint()
    {
        if (OperatingSystem.IsWindows())
            Assert.Skip("sends Unix signals");
        using var folder = new TempFolder();
        Prepare(folder);
        string[] longRun = [.. TinyModel, "--max_iters=100000", "--warmup_iters=5", "--eval_interval=10", "--always_save_checkpoint=True"];

        Directory.CreateDirectory(folder.File("out/loss.png")); // so it cannot be drawn, which is no reason to stop

        // What a shell starts in the background ignores SIGINT, and so does all that it starts; likewise nohup and SIGHUP.
        var interrupted = RunUntil(longRun, folder, "20 |", IsIgnored(2) ? "TERM" : "INT");
        Assert.Equal(130, interrupted);
        var hungUp = RunUntil([.. longRun, "--init_from=resume"], folder, "40 |", IsIgnored(1) ? "TERM" : "HUP");
        Assert.Equal(130, hungUp);
        var killed = RunUntil([.. longRun, "--init_from=resume"], folder, "60 |", "KILL");
        Assert.Equal(128 + 9, killed);

        var resumed = Llamafs.Start([.. longRun, "--init_from=resume"], folder.Path);
        var first = FirstIteration(resumed);
        resumed.Kill();
        resumed.WaitForExit();
        Assert.InRange(first, 50, 100); // the last checkpoint was at 60 or, if the kill was quick, at 50
    }

    [Fact]
    public void Train_WithoutData_SaysWhichCommandMakesIt()
    {
        using var folder = new TempFolder();
        Llamafs.Run(["train"], folder.Path).AssertFails(1, "llamafs data");
        Llamafs.Run(["data", "pretokenize", "--vocab_size=512"], folder.Path).AssertFails(1, "llamafs data");
        Llamafs.Run(["data", "train_vocab", "--vocab_size=512"], folder.Path).AssertFails(1, "llamafs data");
    }

    [Fact]
    public void Train_AWrongOption_IsAUsageErrorThatNamesIt()
    {
        using var folder = new TempFolder();
        Llamafs.Run(["train", "--n_heads=7"], folder.Path).AssertFails(2, "n_heads");
        Llamafs.Run(["train", "--learning_rate=fast"], folder.Path).AssertFails(2, "learning_rate");
        Llamafs.Run(["train", "--no_such_option=1"], folder.Path).AssertFails(2, "no_such_option");
    }

    private static void Prepare(TempFolder folder)
    {
        Llamafs.Run(["data", "sample", "--num_stories=2000"], folder.Path).AssertSucceeds();
        Llamafs.Run(["data", "train_vocab", "--dataset=sample", "--vocab_size=320"], folder.Path).AssertSucceeds();
        Llamafs.Run(["data", "pretokenize", "--dataset=sample", "--vocab_size=320"], folder.Path).AssertSucceeds();
    }

    /// <summary>Runs until a line begins with a mark, then sends a signal; the exit code.</summary>
    private static int RunUntil(string[] args, TempFolder folder, string mark, string signal)
    {
        using var process = Llamafs.Start(args, folder.Path);
        _ = process.StandardError.ReadToEndAsync();
        while (process.StandardOutput.ReadLine() is { } line && !line.StartsWith(mark, StringComparison.Ordinal)) { }
        using var kill = Process.Start("kill", [$"-{signal}", $"{process.Id}"]);
        _ = process.StandardOutput.ReadToEndAsync();
        Assert.True(process.WaitForExit(Llamafs.Limit), "does not stop");
        return process.ExitCode;
    }

    private static bool IsIgnored(int signal)
    {
        const string status = "/proc/self/status";
        return File.Exists(status) && File.ReadLines(status).First(line => line.StartsWith("SigIgn:", StringComparison.Ordinal)) is var ignored
            && (Convert.ToUInt64(ignored["SigIgn:".Length..].Trim(), 16) >> (signal - 1) & 1) != 0;
    }

    private static int FirstIteration(Process process)
    {
        _ = process.StandardError.ReadToEndAsync();
        while (process.StandardOutput.ReadLine() is { } line)
            if (line.Split(" |") is [var number, _, ..] && int.TryParse(number, out var iteration))
                return iteration;
        throw new InvalidOperationException("ended without a log line");
    }
}
