using System.Text;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Tokens;
using LlamaFullstack.Training.Kernels;
using LlamaFullstack.Training.Model;

namespace LlamaFullstack.Training.Tests;

public sealed class TrainerTests
{
    [Fact]
    public void Run_EasyPattern_IsLearnt()
    {
        using var folder = new TempFolder();
        var log = Train(TinyRun.Create(folder) with { MaxIters = 150, EvalInterval = 150, Dropout = 0 });

        var evals = log.Events.OfType<EvalEvent>().ToList();
        Assert.Equal([0, 150], evals.Select(eval => eval.Iteration));
        // Chance is ln 32 = 3.47. Once learnt, only the token after BOS is open: ln 29 / 25 = 0.13, and a little for cut beginnings.
        Assert.InRange(evals[0].ValLoss, 3.3, 3.7);
        Assert.InRange(evals[1].ValLoss, 0.1, 1.0);
    }

    [Fact]
    public void Run_IntoTheFolderOfARunUnderWay_SaysSoAndLeavesItAlone()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder);
        using (new FolderLock(config.OutDir, ""))
            Assert.Equal($"{config.OutDir}: another process is writing into this folder. Wait until it is done, or name another --out_dir.", Assert.Throws<IOException>(() => Train(config)).Message);
        Assert.Empty(Directory.GetFiles(config.OutDir));
        Train(config);
        using (new FolderLock(config.OutDir, ""))
        {
            Train(config with { InitFrom = "resume", EvalOnly = true }); // writes nothing
            Assert.Throws<IOException>(() => new Trainer(config with { InitFrom = "resume" })); // and does not read what is about to be replaced
        }
        using (new Trainer(config with { InitFrom = "resume" }))
            Assert.Throws<IOException>(() => new Trainer(config with { InitFrom = "resume" }));
    }

    [Fact]
    public void Run_WithATokenizerOfAnotherVocabulary_NamesItAndWritesNothing()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder);
        var pieces = Enumerable.Range(0, Vocabulary.FirstText).Select(id => new Piece(Encoding.UTF8.GetBytes(id < Vocabulary.FirstByte ? $"<{id}>" : $"<0x{id - Vocabulary.FirstByte:X2}>"), 0, PieceType.Normal));
        var tokenizer = Path.Combine(config.OutDir, TokenizerFile.DefaultName);
        Directory.CreateDirectory(config.OutDir);
        TokenizerBin.Write(tokenizer, new Vocabulary { Pieces = [.. pieces] });
        Assert.Equal($"{tokenizer}: has 259 tokens, but this run's vocabulary has 32 (--vocab_size). Put that vocabulary's tokenizer there, or move this one away.",
            Assert.Throws<InvalidDataException>(() => Train(config)).Message);
        Assert.Equal([tokenizer], Directory.GetFiles(config.OutDir));
    }

    [Fact]
    public void New_WhoseFirstNoteCannotBeWritten_LetsTheFolderGo()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder);
        Assert.Throws<IOException>(() => new Trainer(config, new FullDisk()));
        new FolderLock(config.OutDir, "").Dispose();
    }

    private sealed class FullDisk : IProgress<TrainingEvent>
    {
        public void Report(TrainingEvent value) => throw new IOException("no space left on device");
    }

    [Fact]
    public void Run_Twice_GivesTheSameLossesAndBytes()
    {
        using var folder = new TempFolder();
        var first = Train(TinyRun.Create(folder, "a"));
        var second = Train(TinyRun.Create(folder, "b"));

        Assert.Equal(20, first.Losses.Count());
        Assert.Equal(first.Losses, second.Losses);
        foreach (var file in (string[])["ckpt.safetensors", "model.bin"])
            Assert.Equal(WithoutFolder(folder, "a", file), WithoutFolder(folder, "b", file));
    }

    // Each run begins with threads that find no buffer yet, and such buffers that to make one takes a while: two threads must not both do it.
    [Fact]
    public void Run_OneThreadOrTwo_GivesTheSameLossesAndBytes()
    {
        Assert.SkipUnless(Lanes.AreFastInTiles, "Only the tiled kernels give the same bits on any number of threads, and this processor has neither AVX2 nor NEON for them.");
        using var folder = new TempFolder();
        var threads = TorchSharp.torch.get_num_threads();
        try
        {
            EventLog TrainOn(int count, string name)
            {
                TorchSharp.torch.set_num_threads(count);
                return Train(TinyRun.Create(folder, name) with { MaxSeqLen = 128, BatchSize = 64, GradientAccumulationSteps = 1, MaxIters = 2, EvalIters = 1 });
            }
            var alone = TrainOn(1, "a0");
            for (var round = 0; round < 8; round++)
            {
                var shared = TrainOn(2, $"b{round}");
                Assert.Equal(alone.Losses, shared.Losses);
                foreach (var file in (string[])["ckpt.safetensors", "model.bin"])
                    Assert.Equal(WithoutFolder(folder, "a0", file), WithoutFolder(folder, $"b{round}", file));
            }
        }
        finally
        {
            TorchSharp.torch.set_num_threads(threads);
        }
    }

    [Fact]
    public void Run_StoppedAndResumed_IsBitForBitTheRunThatNeverStopped()
    {
        using var folder = new TempFolder();
        var straight = Train(TinyRun.Create(folder, "a"));
        var config = TinyRun.Create(folder, "b");
        var half = new EventLog();
        using (var stop = new CancellationTokenSource())
        using (var trainer = new Trainer(config, new StopAfter(half, stop, iteration: 6)))
            Assert.Throws<OperationCanceledException>(() => trainer.Run(stop.Token));
        var rest = Train(config with { InitFrom = "resume" });

        Assert.Equal(7, half.Losses.Count());
        Assert.Equal(straight.Losses, half.Losses.Concat(rest.Losses));
        using var expected = Checkpoint.Open(folder.File("a/ckpt.safetensors"));
        using var actual = Checkpoint.Open(folder.File("b/ckpt.safetensors"));
        Assert.Equal(expected.State, actual.State);
        using var expectedFile = SafetensorsFile.Open(folder.File("a/ckpt.safetensors"));
        using var actualFile = SafetensorsFile.Open(folder.File("b/ckpt.safetensors"));
        Assert.NotEmpty(expectedFile.Tensors);
        foreach (var tensor in expectedFile.Tensors)
        {
            var (values, others) = (new float[tensor.Count], new float[tensor.Count]);
            expectedFile.ReadFloats(tensor.Name, values);
            actualFile.ReadFloats(tensor.Name, others);
            Assert.True(values.AsSpan().SequenceEqual(others), tensor.Name);
        }
    }

    [Fact]
    public void Run_AnySeed_FollowsTheSchedule()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder) with { Seed = 7 };
        var log = Train(config);

        Assert.Equal(Enumerable.Range(0, 20).Select(update => config.Schedule.At(update)), log.Events.OfType<StepEvent>().Select(step => step.LearningRate));
    }

    [Fact]
    public void Run_EvalOnly_EvaluatesAndWritesNoModel()
    {
        using var folder = new TempFolder();
        var log = Train(TinyRun.Create(folder) with { EvalOnly = true });

        Assert.Single(log.Events.OfType<EvalEvent>());
        Assert.Empty(log.Losses);
        Assert.False(File.Exists(folder.File("out/ckpt.safetensors")));
    }

    [Fact]
    public void Run_Finished_LeavesTheModelThatTheCheckpointHolds()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder);
        Train(config);

        using var checkpoint = Checkpoint.Open(folder.File("out/ckpt.safetensors"));
        using var model = ModelBinFile.Open(folder.File("out/model.bin"));
        Assert.Equal(config.Model, checkpoint.Config);
        Assert.Equal(config, checkpoint.TrainConfig);
        Assert.Equal(20, checkpoint.State.Iteration);
        var fromCheckpoint = new float[32 * 16];
        var fromModel = new float[32 * 16];
        checkpoint.Read("tok_embeddings.weight", fromCheckpoint);
        model.Read("tok_embeddings.weight", fromModel);
        Assert.Equal(fromCheckpoint, fromModel);
        Assert.True(File.Exists(folder.File("out/config.json")));
    }

    [Fact]
    public void Run_AccumulatedMicroBatches_AreTheLargeBatch()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder, "a") with { Dropout = 0, MaxIters = 5 };
        var accumulated = Train(config with { BatchSize = 2, GradientAccumulationSteps = 4 });
        var whole = Train(config with { BatchSize = 8, GradientAccumulationSteps = 1, OutDir = folder.File("b") });

        // The same sequences, summed in another order: float32 rounding, which a few updates hardly raise.
        Assert.Equal(5, whole.Losses.Count());
        Assert.Equal(whole.Losses, accumulated.Losses, (a, b) => Math.Abs(a - b) <= 1e-4);
    }

    [Fact]
    public void Trainer_NoShards_SaysWhichCommandsMakeThem()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder) with { DataDir = folder.File("nowhere"), Dataset = "sample", VocabSize = 512 };

        var error = Assert.Throws<InvalidDataException>(() => new Trainer(config));
        var dataDir = $"--data_dir={folder.File("nowhere")}";
        Assert.Equal($"{folder.File("nowhere/sample/tok512")}: no pretokenised shards. Make them: llamafs data sample {dataDir}, then "
            + $"llamafs data train_vocab --vocab_size=512 --dataset=sample {dataDir}, then llamafs data pretokenize --vocab_size=512 --dataset=sample {dataDir}",
            error.Message);
    }

    [Fact]
    public void Trainer_OneShard_SaysThatItNeedsTwo()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder);
        File.Delete(folder.File("data/tok32/data01.bin"));
        File.Delete(folder.File("data/tok32/data02.bin"));

        var error = Assert.Throws<InvalidDataException>(() => new Trainer(config));
        Assert.Contains("the only shard, but training needs two", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Trainer_ResumedWithAnotherShape_IsRefused()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder);
        Train(config);

        var error = Assert.Throws<InvalidDataException>(() => new Trainer(config with { InitFrom = "resume", NLayers = 3 }));
        Assert.Contains("another shape than the options ask for", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_StoppedInAnEvaluation_StillKnowsTheBestModelOnceResumed()
    {
        using var folder = new TempFolder();
        Train(TinyRun.Create(folder, "a") with { MaxIters = 10 });
        var config = TinyRun.Create(folder, "b") with { MaxIters = 10 };
        using (var stop = new CancellationTokenSource())
        using (var trainer = new Trainer(config, new StopAfter(new EventLog(), stop, iteration: 9)))
            Assert.Throws<OperationCanceledException>(() => trainer.Run(stop.Token));
        Train(config with { InitFrom = "resume" });

        using var expected = Checkpoint.Open(folder.File("a/ckpt.safetensors"));
        using var actual = Checkpoint.Open(folder.File("b/ckpt.safetensors"));
        Assert.InRange(expected.State.BestValLoss, 0, 10);
        Assert.Equal(expected.State, actual.State);
    }

    [Fact]
    public void Run_ThatDivergesBetweenTwoLogLines_SavesNothingOfIt()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder);
        Train(config);
        var (checkpoint, model) = (File.ReadAllBytes(folder.File("out/ckpt.safetensors")), File.ReadAllBytes(folder.File("out/model.bin")));

        using var trainer = new Trainer(config with
        {
            InitFrom = "resume",
            MaxIters = 60,
            LearningRate = 3e37, // near the end of float32: two updates make the weights infinite
            WarmupIters = 0,
            DecayLr = false,
            LogInterval = 1000,
            EvalInterval = 4,
            AlwaysSaveCheckpoint = true,
        });
        Assert.Contains("training has diverged", Assert.Throws<InvalidDataException>(() => trainer.Run()).Message, StringComparison.Ordinal);
        Assert.Equal(checkpoint, File.ReadAllBytes(folder.File("out/ckpt.safetensors")));
        Assert.Equal(model, File.ReadAllBytes(folder.File("out/model.bin")));
    }

    [Fact]
    public void Run_LossThatDiverges_StopsAndKeepsTheCheckpoint()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder);
        Train(config);
        var before = File.ReadAllBytes(folder.File("out/ckpt.safetensors"));

        using var trainer = new Trainer(config with { InitFrom = "resume", MaxIters = 60, LearningRate = 1e30, GradClip = 0, WarmupIters = 0, DecayLr = false });
        var error = Assert.Throws<InvalidDataException>(() => trainer.Run());
        Assert.Contains("The checkpoint of update 20 is kept", error.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(folder.File("out/ckpt.safetensors")));
    }

    [Fact]
    public void Run_LossFarAboveGuessing_StopsWithTheFigures()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder) with { MaxIters = 400, LearningRate = 30, WarmupIters = 0, DecayLr = false, EvalInterval = 1000 };
        using var trainer = new Trainer(config);
        var error = Assert.Throws<InvalidDataException>(() => trainer.Run());
        Assert.Matches(@"^update \d+: the mean loss of late is \d+\.\d\d, where guessing gives 3\.47: training has diverged\. Lower --learning_rate", error.Message);
    }

    [Fact]
    public void Save_ThatCannotBeFinished_KeepsTheCheckpointBefore()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder) with { MaxIters = 3 };
        Train(config);
        var path = folder.File("out/ckpt.safetensors");
        var before = File.ReadAllBytes(path);
        Directory.CreateDirectory(path + ".tmp"); // where the new one is written first

        using var trainer = new Trainer(config with { InitFrom = "resume", MaxIters = 6 });
        Assert.ThrowsAny<Exception>(() => trainer.Run());
        Assert.Equal(before, File.ReadAllBytes(path));
    }

    [Fact]
    public void Run_Keep_LeavesThatManyOlderCheckpoints()
    {
        using var folder = new TempFolder();
        Train(TinyRun.Create(folder) with { EvalInterval = 5, AlwaysSaveCheckpoint = true, Keep = 2 });

        Assert.Equal(["ckpt-00000015.safetensors", "ckpt-00000020.safetensors"],
            Directory.GetFiles(folder.File("out"), "ckpt-*").Select(Path.GetFileName).Order());
        Assert.Equal(File.ReadAllBytes(folder.File("out/ckpt.safetensors")), File.ReadAllBytes(folder.File("out/ckpt-00000020.safetensors")));
        using var older = Checkpoint.Open(folder.File("out/ckpt-00000015.safetensors"));
        Assert.Equal(15, older.State.Iteration);
    }

    [Fact]
    public void Run_OverEarlierRuns_KeepsAllThatTheyLeft()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder) with { EvalInterval = 5, AlwaysSaveCheckpoint = true, Keep = 2 };
        byte[] Run(int updates)
        {
            Train(config with { MaxIters = updates });
            return File.ReadAllBytes(folder.File("out/ckpt.safetensors"));
        }
        string?[] Names(string path) => [.. Directory.GetFiles(folder.File(path)).Select(Path.GetFileName).Order(StringComparer.Ordinal)];
        var (first, second) = (Run(20), Run(15));
        Run(10);

        Assert.Equal(first, File.ReadAllBytes(folder.File("out/previous1/ckpt.safetensors")));
        Assert.Equal(second, File.ReadAllBytes(folder.File("out/previous2/ckpt.safetensors")));
        Assert.Equal(20, RunMetrics.Read(folder.File("out/previous1")).Steps.Count);
        Assert.Equal(["ckpt-00000015.safetensors", "ckpt-00000020.safetensors", "ckpt.safetensors", "config.json", "metrics.jsonl", "model.bin"], Names("out/previous1"));
        Assert.Equal(["ckpt-00000005.safetensors", "ckpt-00000010.safetensors", "ckpt.safetensors", "config.json", "metrics.jsonl", "model.bin"], Names("out"));
        Assert.NotEmpty(Directory.GetFiles(folder.File("out/previous2/tensorboard")));
    }

    [Fact]
    public void Run_EvalOnlyInAFolderOfARun_ChangesNothing()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder);
        Train(config);
        string[] Contents() =>
            [.. Directory.GetFiles(folder.File("out"), "*", SearchOption.AllDirectories).Order().Select(path => $"{path} {Convert.ToBase64String(File.ReadAllBytes(path))}")];
        var before = Contents();
        Train(config with { EvalOnly = true });
        Train(config with { EvalOnly = true, InitFrom = "resume" });

        Assert.Equal(before, Contents());
    }

    [Fact]
    public void Run_ResumedWithOtherTokens_IsRefusedOrSaidByWhatDiffers()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder);
        void Manifest(string tokenizer, string source) => new TokenManifest("uint16", config.VocabSize, tokenizer, "", Complete: true,
            [.. Enumerable.Range(0, 3).Select(i => new TokenShardEntry($"data{i:00}.bin", i == 0 ? "val" : "train", 1000, 40, [$"data{i:00}.json"], 9, source))])
            .Write(folder.File("data/tok32"));
        string[] Resume(int updates) => [.. Train(config with { InitFrom = "resume", MaxIters = updates }).Events.OfType<NoteEvent>().Select(note => note.ToString())];
        Manifest("tokenizer", "stories");
        Train(config);

        Assert.DoesNotContain(Resume(21), note => note.Contains("other stories", StringComparison.Ordinal));
        Manifest("tokenizer", "others");
        Assert.Contains($"{folder.File("data/tok32")} holds other stories than when this run stopped: it goes on with them, but not as if it had never stopped.", Resume(22));
        Manifest("another", "others");
        var error = Assert.Throws<InvalidDataException>(() => Resume(23));
        Assert.StartsWith($"{folder.File("data/tok32")}: made with another tokenizer than the run in {config.OutDir} learned with.", error.Message, StringComparison.Ordinal);
        using var kept = Checkpoint.Open(folder.File("out/ckpt.safetensors"));
        Assert.Equal(22, kept.State.Iteration);
    }

    [Fact]
    public void Run_StoppedAndResumed_HoldsEachMetricOnce()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder);
        using (var stop = new CancellationTokenSource())
        using (var trainer = new Trainer(config, new StopAfter(new EventLog(), stop, iteration: 6)))
            Assert.Throws<OperationCanceledException>(() => trainer.Run(stop.Token));
        File.AppendAllText(folder.File("out/metrics.jsonl"), "{\"step\":7,\"loss\":9,\"loss_ema\":9,\"lr\":9}\n{\"step\":8,\"lo"); // killed later on
        folder.Write("out/samples.txt", "--- 5\nbefore\n--- 10\nafter\n"u8.ToArray());
        var log = Train(config with { InitFrom = "resume" });

        var metrics = RunMetrics.Read(folder.File("out"));
        Assert.Equal(Enumerable.Range(0, 20).Select(step => (long)step), metrics.Steps.Select(step => step.Step));
        Assert.Equal([0, 10, 20], metrics.Evaluations.Select(eval => eval.Step));
        Assert.Equal("--- 5\nbefore\n", File.ReadAllText(folder.File("out/samples.txt")));
        Assert.Equal(log.Losses.Last(), metrics.Steps[^1].Loss, 1e-6);
        Assert.NotEmpty(Directory.GetFiles(folder.File("out/tensorboard")));
    }

    [Fact]
    public void Sample_OfAModelThatWritesAnyByte_HasNoControlCharacterThatIsNoWhiteSpace()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder) with { VocabSize = 259 };
        Piece[] pieces = [new("<unk>"u8.ToArray(), 0, PieceType.Unknown), new("<s>"u8.ToArray(), 0, PieceType.Control), new("</s>"u8.ToArray(), 0, PieceType.Control),
            .. Enumerable.Range(0, 256).Select(value => new Piece(System.Text.Encoding.ASCII.GetBytes($"<0x{value:X2}>"), 0, PieceType.Byte))];
        TokenizerBin.Write(new DataFolder(config.DataDir, config.Dataset).TokenizerBin(259), new Vocabulary { Pieces = pieces });
        using var model = new Transformer(config.Model, ModelPlacement.Cpu);
        var text = string.Concat(Enumerable.Range(0, 5).Select(seed =>
        {
            var run = new RunFolder(config with { Seed = seed });
            run.Begin();
            return run.Sample(model);
        }));
        Assert.InRange(text.Length, 50, 500);
        Assert.DoesNotContain(text, c => char.IsControl(c) && c is not (>= '\t' and <= '\r'));
    }

    [Fact]
    public void TimeUpdates_Three_WritesNothing()
    {
        using var folder = new TempFolder();
        Assert.True(Trainer.TimeUpdates(TinyRun.Create(folder), 3, TimeSpan.Zero) > TimeSpan.Zero);
        Assert.False(Directory.Exists(folder.File("out")));
    }

    [Fact]
    public void Run_ThousandUpdates_KeepsMemoryFlat()
    {
        using var folder = new TempFolder();
        using var trainer = new Trainer(TinyRun.Create(folder) with { MaxIters = 1300, EvalInterval = 300, EvalIters = 1, LogInterval = 100, NLayers = 1, GradientAccumulationSteps = 1 }, new MemoryAt(out var sizes));
        trainer.Run();

        // Not one tensor more; and after 300 updates everything is allocated and compiled, but for what the runtime itself still does.
        Assert.Equal(sizes[300].Tensors, sizes[1300].Tensors);
        var growth = sizes[1300].Bytes - sizes[300].Bytes;
        Assert.True(growth < 16 << 20, $"resident memory grew by {growth:N0} bytes in 1,000 updates");
    }

    private static EventLog Train(TrainingConfig config)
    {
        var log = new EventLog();
        using var trainer = new Trainer(config, log);
        trainer.Run();
        return log;
    }

    /// <summary>A file's bytes, but for the run's folder, which a checkpoint names.</summary>
    private static string WithoutFolder(TempFolder folder, string run, string file) =>
        System.Text.Encoding.Latin1.GetString(File.ReadAllBytes(folder.File($"{run}/{file}"))).Replace(folder.File(run), "", StringComparison.Ordinal);

    private sealed class StopAfter(IProgress<TrainingEvent> next, CancellationTokenSource stop, long iteration) : IProgress<TrainingEvent>
    {
        public void Report(TrainingEvent value)
        {
            next.Report(value);
            if (value is StepEvent step && step.Iteration == iteration)
                stop.Cancel();
        }
    }

    private sealed class MemoryAt : IProgress<TrainingEvent>
    {
        private readonly Dictionary<long, (long Tensors, long Bytes)> _sizes = [];

        public MemoryAt(out IReadOnlyDictionary<long, (long Tensors, long Bytes)> sizes) => sizes = _sizes;

        public void Report(TrainingEvent value)
        {
            if (value is not EvalEvent eval)
                return;
            GC.Collect();
            GC.WaitForPendingFinalizers();
            _sizes[eval.Iteration] = (TorchSharp.torch.Tensor.TotalCount, Environment.WorkingSet);
        }
    }
}
