using System.Text.Json;

namespace LlamaFullstack.EndToEnd.Tests;

public class ExportTests
{
    [Fact]
    public void Export_Llama2cCheckpoint_IsByteIdenticalToItsOwnExport()
    {
        using var folder = new TempFolder();
        Llamafs.Run("export", folder.File("model.bin"), "--checkpoint", Fixtures.Path("train-checkpoint", "ckpt.pt")).AssertSucceeds();
        Assert.Equal(File.ReadAllBytes(Fixtures.Path("train-checkpoint", "model_v0.bin")), File.ReadAllBytes(folder.File("model.bin")));
    }

    [Fact]
    public void Export_V1OfAModel_TellsTheSameStory_AndV2Runs()
    {
        using var folder = new TempFolder();
        var model = Fixtures.Path("stories260K", "stories260K.bin");
        var golden = File.ReadAllText(Fixtures.Path("stories260K", "run_260K_t0_n200.txt"));
        foreach (var version in new[] { "0", "1", "2" })
        {
            var path = folder.File($"v{version}.bin");
            Llamafs.Run("export", path, "--checkpoint", model, "--version", version).AssertSucceeds();
            var run = Llamafs.Run("run", path, "-z", Fixtures.Path("stories260K", "tok512.bin"), "-t", "0", "-n", "200").AssertSucceeds();
            if (version == "2")
                Assert.StartsWith("Once upon a time, there was a little", run.Out);
            else
                Assert.Equal(golden, run.Out);
        }
        Assert.Equal(File.ReadAllBytes(model), File.ReadAllBytes(folder.File("v0.bin")));
    }

    [Fact]
    public void Export_LossTokens_AreTheLossesThatEvalFinds()
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder.File("data/TinyStories_all_data"));
        foreach (var shard in new[] { "data00.json", "data01.json" })
            File.WriteAllBytes(folder.File($"data/TinyStories_all_data/{shard}"), File.ReadAllBytes(Fixtures.Path("tinystories", $"TinyStories_all_data/{shard}")));
        File.WriteAllBytes(folder.File("data/tok512.model"), File.ReadAllBytes(Fixtures.Path("stories260K", "tok512.model")));
        Llamafs.Run(["data", "pretokenize", "--vocab_size=512"], folder.Path).AssertSucceeds();
        File.WriteAllBytes(folder.File("tokenizer.bin"), File.ReadAllBytes(Fixtures.Path("stories260K", "tok512.bin"))); // eval counts bytes with it
        var model = Fixtures.Path("stories260K", "stories260K.bin");

        var exported = Llamafs.Run(["export", "v2.bin", "--checkpoint", model, "--version", "2", "--loss_tokens", "2000", "--json"], folder.Path).AssertSucceeds();
        using var report = JsonDocument.Parse(exported.Out);
        var loss = report.RootElement.GetProperty("loss");
        Assert.Equal(2048, loss.GetProperty("tokens").GetInt32()); // whole contexts of 512
        Assert.Equal(Eval(model), loss.GetProperty("float32").GetDouble(), 1e-4);
        Assert.Equal(Eval("v2.bin"), loss.GetProperty("written").GetDouble(), 1e-4);
        Assert.InRange(loss.GetProperty("float32").GetDouble(), 1.0, 1.5); // a model that has learned these very stories' kind
        Assert.NotEqual(loss.GetProperty("float32").GetDouble(), loss.GetProperty("written").GetDouble());
        Assert.Equal(["data", "tokenizer.bin", "v2.bin"], Directory.GetFileSystemEntries(folder.Path).Select(Path.GetFileName).Order());

        double Eval(string path) => double.Parse(Llamafs.Run(["eval", path, "--max_tokens=2000"], folder.Path)
            .AssertSucceeds().Out.Split(' ')[2].TrimEnd(','), System.Globalization.CultureInfo.InvariantCulture);
    }

    [Fact]
    public void Export_TableOfErrors_FitsEightyColumns_AndNarrowGroupsAreSaid()
    {
        using var folder = new TempFolder();
        var model = Fixtures.Path("stories260K", "stories260K.bin");
        var narrow = Llamafs.Run("export", folder.File("narrow.bin"), "--checkpoint", model, "--version", "2").AssertSucceeds(); // hidden_dim 172
        Assert.Contains("groups of 4, since no larger power of two divides both dim and hidden_dim: 2 bytes a weight, where multiples of 64 take 1.06.", narrow.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("groups of", Llamafs.Run("export", folder.File("asked.bin"), "--checkpoint", model, "--version", "2", "--group_size", "2").AssertSucceeds().Error, StringComparison.Ordinal);
        var wide = Llamafs.Run("export", folder.File("wide.bin"), "--checkpoint", Fixtures.Path("train-checkpoint", "ckpt.pt"), "--version", "2").AssertSucceeds(); // 192
        Assert.DoesNotContain("groups of", wide.Error, StringComparison.Ordinal);
        var written = narrow.Out.Split('\n').Where(line => line.Contains("int8  ", StringComparison.Ordinal)).ToList();
        Assert.Equal(36, written.Count);
        Assert.All(written, line => Assert.InRange(line.Length, 60, 80));
        var shown = Llamafs.Run("inspect", model).AssertSucceeds().Out.Split('\n').Where(line => line.Contains("F32", StringComparison.Ordinal)).ToList();
        Assert.Equal(47, shown.Count);
        Assert.All(shown, line => Assert.InRange(line.Length, 60, 80));
    }

    [Fact]
    public void Export_ACheckpointByItsOtherName_SaysWhichIsThere()
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder.File("out"));
        File.WriteAllBytes(folder.File("out/ckpt.safetensors"), [1]);
        foreach (var command in new[] { (string[])["export", "out.bin", "--version", "2"], ["sample"] })
            Llamafs.Run([.. command, "--checkpoint", "out/ckpt.pt"], folder.Path).AssertFails(1, "out/ckpt.pt: no such file, but out/ckpt.safetensors is there.");
        Llamafs.Run(["export", "out.bin", "--checkpoint", "out/model.pt"], folder.Path).AssertFails(1, "out/model.pt: no such file.");
    }

    [Fact]
    public void ExportTokenizer_SentencepieceModel_IsByteIdenticalToLlama2cs()
    {
        using var folder = new TempFolder();
        Llamafs.Run("export-tokenizer", "--tokenizer_model", Fixtures.Path("stories260K", "tok512.model"), folder.File("t.bin")).AssertSucceeds();
        Assert.Equal(File.ReadAllBytes(Fixtures.Path("stories260K", "tok512.bin")), File.ReadAllBytes(folder.File("t.bin")));
    }

    [Fact]
    public void Export_Gguf_IsByteIdenticalToThePublishedModelAndTokenizer()
    {
        using var folder = new TempFolder();
        var gguf = Fixtures.Path("gguf", "stories260K.gguf");
        Llamafs.Run("export", folder.File("model.bin"), "--checkpoint", gguf, "--max_seq_len", "512").AssertSucceeds();
        Assert.Equal(File.ReadAllBytes(Fixtures.Path("stories260K", "stories260K.bin")), File.ReadAllBytes(folder.File("model.bin")));

        File.Copy(gguf, folder.File("x.gguf"));
        Llamafs.Run("export-tokenizer", folder.File("x.gguf")).AssertSucceeds();
        Assert.Equal(File.ReadAllBytes(Fixtures.Path("stories260K", "tok512.bin")), File.ReadAllBytes(folder.File("tokenizer.bin")));
        Assert.Equal(File.ReadAllBytes(gguf), File.ReadAllBytes(folder.File("x.gguf")));
    }

    [Fact]
    public void Export_ToGguf_RunsAndVerifies()
    {
        using var folder = new TempFolder();
        var model = Fixtures.Path("stories260K", "stories260K.bin");
        var gguf = folder.File("m.gguf");
        Llamafs.Run("export", gguf, "--checkpoint", model, "-z", Fixtures.Path("stories260K", "tok512.bin")).AssertSucceeds();
        Assert.Contains("the same 50 tokens", Llamafs.Run("verify", gguf, model, "--tokens", "50").AssertSucceeds().Out);
        Assert.Contains("\"shared\": 50", Llamafs.Run("verify", gguf, model, "--tokens", "50", "--json").AssertSucceeds().Out);
        Assert.Contains("vocab_size 512", Llamafs.Run("inspect", gguf).AssertSucceeds().Out);

        var q8 = folder.File("q8.gguf");
        Assert.Contains("F16", Llamafs.Run("export", q8, "--checkpoint", gguf, "--dtype", "q8_0").AssertSucceeds().Out); // w2, whose rows are no blocks
        Assert.StartsWith("Once upon a time", Llamafs.Run("run", q8, "-t", "0", "-n", "50").AssertSucceeds().Out);
        Llamafs.Run("export", gguf, "--checkpoint", model, "--version", "2").AssertFails(2, "--version");
        Llamafs.Run("export", folder.File("m.bin"), "--checkpoint", model, "--dtype", "q8_0").AssertFails(2, "--dtype");
        Llamafs.Run("export", gguf, "--checkpoint", model, "--dtype", "q5_0").AssertFails(2, "q5_0");
        var cut = Llamafs.Run("inspect", folder.Write("cut.gguf", File.ReadAllBytes(gguf)[..5000]));
        Assert.Equal(1, cut.ExitCode);
        Assert.Contains("Was it cut short?", cut.Error);
        Assert.Equal(1, Llamafs.Run("verify", gguf, q8).ExitCode);
    }

    [Fact]
    public void Verify_WeightsThatAreNoNumbers_SaysSoInJson()
    {
        using var folder = new TempFolder();
        var model = Fixtures.Path("stories260K", "stories260K.bin");
        var bytes = File.ReadAllBytes(model);
        BitConverter.TryWriteBytes(bytes.AsSpan(bytes.Length / 2 & ~3), float.NaN);
        var run = Llamafs.Run("verify", folder.Write("nan.bin", bytes), model, "--json");
        Assert.Equal((1, ""), (run.ExitCode, run.Error)); // no progress of what is done at once
        var worst = JsonDocument.Parse(run.Out).RootElement.GetProperty("worst");
        Assert.Equal(("Infinity", "NaN"), (worst.GetProperty("difference").GetString(), worst.GetProperty("a").GetString()));
    }

    [Fact]
    public void Verify_WhereTheTemporaryCopyCannotBeWritten_NamesTheModelAndTheWayOut()
    {
        using var folder = new TempFolder();
        var checkpoint = Fixtures.Path("train-checkpoint", "ckpt.pt");
        var nowhere = folder.Write("file", [1]) + "/tmp";
        Llamafs.Run(["verify", checkpoint, checkpoint, "--tokens", "5"], null, "", ("TMPDIR", nowhere))
            .AssertFails(1, $"{checkpoint}: the engine needs a copy of it in float32, deleted afterwards, which cannot be written: ");
    }

    [Fact]
    public void Verify_LeavesNoTemporaryCopyBehind()
    {
        using var folder = new TempFolder();
        var checkpoint = Fixtures.Path("train-checkpoint", "ckpt.pt");
        Llamafs.Run(["verify", checkpoint, checkpoint, "--tokens", "5"], null, "", ("TMPDIR", folder.Path)).AssertSucceeds();
        Assert.Empty(Directory.GetFiles(folder.Path, "*.bin*"));
    }

    [Fact]
    public void Verify_TokensOfAModelThatIsNoNumbers_AreNotTheSame()
    {
        using var folder = new TempFolder();
        var bytes = File.ReadAllBytes(Fixtures.Path("stories260K", "stories260K.bin"));
        for (var i = 7 * sizeof(int); i < bytes.Length; i += sizeof(float))
            BitConverter.TryWriteBytes(bytes.AsSpan(i), float.NaN);
        var nan = folder.Write("nan.bin", bytes);
        Llamafs.Run("verify", nan, nan, "--tokens", "5").AssertFails(1, $"{nan}: token 1 cannot be chosen: the logits are no finite numbers. See what is wrong with the weights: llamafs inspect {nan}");
    }

    [Fact]
    public void Inspect_OnANarrowTerminal_StaysOnOneLine()
    {
        const int columns = 30;
        if (!OperatingSystem.IsLinux())
            Assert.Skip("the script of util-linux gives a program a terminal");
        var command = $"stty cols {columns}; TERM=xterm {Llamafs.Program} inspect {Fixtures.Path("stories260K", "stories260K.bin")} >/dev/null";
        var drawn = SystemProgram.Run("script", "-qec", command, "/dev/null").Split('\r', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Trim('\n')).ToList();
        Assert.Contains(drawn, line => line.StartsWith("inspect ", StringComparison.Ordinal));
        Assert.All(drawn, line => Assert.InRange(line.Length, 0, columns - 1));
    }

    [Fact]
    public void Export_NothingToExport_SaysWhatIsMissing()
    {
        using var folder = new TempFolder();
        Llamafs.Run(["export"], folder.Path).AssertFails(1, "ckpt");
        Llamafs.Run(["export", "--version", "7"], folder.Path).AssertFails(2, "7");
    }
}
