using System.Runtime.InteropServices;
using LlamaFullstack.Data;

namespace LlamaFullstack.Training.Tests;

/// <summary>A dataset of a few thousand tokens with a pattern to learn, and a configuration that trains on it in milliseconds a step.</summary>
internal static class TinyRun
{
    /// <summary>Writes three shards and returns a configuration that reads them and writes into the same folder.</summary>
    public static TrainingConfig Create(TempFolder folder, string outDir = "out")
    {
        var config = new TrainingConfig
        {
            DataDir = folder.File("data"),
            OutDir = folder.File(outDir),
            Dim = 16,
            HiddenDim = 24,
            NLayers = 2,
            NHeads = 4,
            NKvHeads = 2,
            VocabSize = 32,
            MaxSeqLen = 12,
            BatchSize = 4,
            GradientAccumulationSteps = 2,
            LearningRate = 1e-2,
            WarmupIters = 5,
            MaxIters = 20,
            EvalInterval = 10,
            EvalIters = 2,
            Dropout = 0.1,
            Device = "cpu",
        };
        var tokens = new DataFolder(config.DataDir, config.Dataset).Tokens(config.DataVocabSize);
        for (var shard = 0; shard < 3; shard++)
        {
            // "BOS a a+1 a+2 …" from a random a: easy to learn, impossible to guess.
            var random = new Random(shard);
            var ids = new ushort[1000];
            for (var i = 0; i < ids.Length; i++)
                ids[i] = i % 25 == 0 ? (ushort)1 : i % 25 == 1 ? (ushort)random.Next(3, 32) : (ushort)(3 + (ids[i - 1] - 2) % 29);
            folder.Write(Path.Combine(tokens, $"data{shard:00}.bin"), MemoryMarshal.AsBytes(ids.AsSpan()).ToArray());
        }
        return config;
    }
}

/// <summary>Keeps every event, in order.</summary>
internal sealed class EventLog : IProgress<TrainingEvent>
{
    public List<TrainingEvent> Events { get; } = [];

    public IEnumerable<double> Losses => Events.OfType<StepEvent>().Select(step => step.Loss);

    public void Report(TrainingEvent value) => Events.Add(value);
}
