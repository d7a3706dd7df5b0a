using System.Text;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Inference.Benchmarks;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference.Tests;

/// <summary>The whole engine against llama2.c's own output, under every kernel set and several thread counts.</summary>
public sealed class GoldenTests
{
    private const double LogitTolerance = 1e-4; // what the project promises; summation order alone gives some 6e-6

    public static TheoryData<string, int> SetsAndThreads
    {
        get
        {
            var data = new TheoryData<string, int>();
            foreach (var set in KernelSets.Supported)
                foreach (var threads in new[] { 1, 2, 3 })
                    data.Add(set.Name, threads);
            return data;
        }
    }

    public static TheoryData<string> Sets => [.. KernelSets.Supported.Select(set => set.Name)];

    [Theory, MemberData(nameof(SetsAndThreads))]
    public void Forward_Stories260K_GivesTheGoldenLogitsAndIds(string set, int threads) =>
        AssertGolden(Stories260K.Path, Stories260K.GreedyIds, Stories260K.GreedyLogits, set, threads);

    [Theory, MemberData(nameof(SetsAndThreads))]
    public void Forward_TrainCheckpoint_GivesTheGoldenLogitsAndIds(string set, int threads) => AssertGolden(
        Fixtures.Path("train-checkpoint", "model_v0.bin"),
        Fixtures.Ids("train-checkpoint", "tokens_trainckpt_greedy_64.txt"),
        Fixtures.Floats("train-checkpoint", "logits_trainckpt_greedy_64x512_f32le.bin"), set, threads);

    [Theory, MemberData(nameof(SetsAndThreads))]
    public void Write_Stories260KGreedy_IsTheGoldenText(string set, int threads)
    {
        var golden = File.ReadAllText(Fixtures.Path("stories260K", "run_260K_t0_n200.txt"));
        Assert.Equal(golden, Text(Stories260K.Path, set, threads, temperature: 0, topP: 0.9f, seed: 1, prompt: "", steps: 200));
    }

    [Theory, MemberData(nameof(SetsAndThreads))]
    public void ForwardAll_Stories260KInBatches_GivesTheGoldenLogits(string set, int threads)
    {
        using var model = LlamaModel.Open(Stories260K.Path);
        using var transformer = new Transformer(model, new EngineOptions { Kernels = KernelSets.Select(set), Threads = threads });
        var (ids, golden) = (Stories260K.GreedyIds, Stories260K.GreedyLogits);
        // Batches that end inside a tile, begin inside a block of keys, and are too small to be one.
        foreach (var (start, count) in new[] { (0, 1), (1, 70), (71, 5), (76, 2), (78, 122) })
        {
            var logits = new float[count * 512];
            transformer.ForwardAll(ids.AsSpan(start, count), start, logits);
            for (var i = 0; i < logits.Length; i++)
                Assert.True(Math.Abs(golden[start * 512 + i] - logits[i]) <= LogitTolerance, $"logit {i} after {start}: expected {golden[start * 512 + i]:R}, got {logits[i]:R}");
        }
    }

    [Theory, MemberData(nameof(SetsAndThreads))]
    public void Forward_APromptAtOnce_GivesTheGoldenLogitsAfterIt(string set, int threads)
    {
        foreach (var count in new[] { 1, 3, 33, 150, 200 })
        {
            using var model = LlamaModel.Open(Stories260K.Path);
            using var transformer = new Transformer(model, new EngineOptions { Kernels = KernelSets.Select(set), Threads = threads });
            var logits = transformer.Forward(Stories260K.GreedyIds.AsSpan(0, count), 0);
            for (var i = 0; i < 512; i++)
                Assert.InRange(logits[i] - Stories260K.GreedyLogits[(count - 1) * 512 + i], -LogitTolerance, LogitTolerance);
        }
    }

    [Theory, MemberData(nameof(Sets))]
    public void Write_WithAndWithoutBatches_IsTheSameText(string set)
    {
        const string Prompt = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her friends";
        var one = Text(Stories260K.Path, set, 2, 0, 0.9f, 1, Prompt, 200, batch: false);
        Assert.Equal(one, Text(Stories260K.Path, set, 2, 0, 0.9f, 1, Prompt, 200));
    }

    [Theory, MemberData(nameof(Sets))]
    public void ForwardAll_QuantizedInBatches_IsTheTokenByTokenResultUpToRounding(string set)
    {
        using var folder = new TempFolder();
        // Groups of 32 and heads of 16 take the widest kernels; 96 and 160 leave groups over.
        var config = new LlamaConfig { Dim = 96, HiddenDim = 160, NLayers = 2, NHeads = 6, NKvHeads = 3, VocabSize = 50, MaxSeqLen = 64 };
        foreach (var version in new[] { 2, 3 })
        {
            var path = folder.File($"v{version}.bin");
            ModelBinWriter.Write(path, new RandomModel(config, sharedClassifier: false, seed: 3), version);
            using var model = LlamaModel.Open(path);
            using var transformer = new Transformer(model, new EngineOptions { Kernels = KernelSets.Select(set), Threads = 2 });
            var ids = Enumerable.Range(0, 50).Select(i => i * 7 % 50).ToArray();
            var batch = new float[ids.Length * config.VocabSize];
            transformer.ForwardAll(ids, 0, batch);
            var (error, magnitude) = (0.0, 0.0);
            for (var pos = 0; pos < ids.Length; pos++)
            {
                var single = transformer.Forward(ids[pos], pos);
                for (var i = 0; i < single.Length; i++)
                {
                    error += Math.Pow(single[i] - batch[pos * config.VocabSize + i], 2);
                    magnitude += Math.Pow(single[i], 2);
                }
            }
            // A rounding flip in the quantiser moves one value by 1/127 of its group's largest: far below a part in a hundred of all logits.
            Assert.InRange(Math.Sqrt(error / magnitude), 0, 0.01);
        }
    }

    [Theory, MemberData(nameof(Sets))]
    public void Forward_Version1_GivesTheBitsOfVersion0(string set)
    {
        using var folder = new TempFolder();
        Assert.Equal(Logits(Stories260K.Path, Stories260K.GreedyIds, set, 1), Logits(Stories260K.WriteAs(1, folder), Stories260K.GreedyIds, set, 1));
    }

    // Large enough that all of the threads are used, and rows that are no whole registers however they are divided.
    [Theory, MemberData(nameof(Sets))]
    public void Forward_AnyThreadCount_GivesTheSameBits(string set)
    {
        var shape = new LlamaConfig { Dim = 256, HiddenDim = 700, NLayers = 2, NHeads = 8, NKvHeads = 4, VocabSize = 4100, MaxSeqLen = 64 };
        using var folder = new TempFolder();
        foreach (var version in new[] { 1, 2 })
        {
            var path = folder.File($"v{version}.bin");
            ModelBinWriter.Write(path, new RandomWeights(shape, 1), version);
            int[] ids = [.. Enumerable.Range(1, 18)];
            var expected = Logits(path, ids, set, 1);
            foreach (var threads in new[] { 2, 3, 7 })
                Assert.Equal(expected, Logits(path, ids, set, threads));
        }
    }

    // One strip of tiles and several, of as many tiles and not, with the last tile full and not.
    [Theory, MemberData(nameof(Sets))]
    public void Forward_APromptOnAnyThreadCount_GivesTheSameBits(string set)
    {
        var shape = new LlamaConfig { Dim = 64, HiddenDim = 180, NLayers = 2, NHeads = 4, NKvHeads = 2, VocabSize = 50, MaxSeqLen = 256 };
        using var folder = new TempFolder();
        foreach (var version in new[] { 1, 2 })
        {
            var path = folder.File($"v{version}.bin");
            ModelBinWriter.Write(path, new RandomWeights(shape, 1), version);
            using var model = LlamaModel.Open(path);
            foreach (var count in new[] { 32, 33, 100, 129, 160, 222, 256 })
            {
                int[] ids = [.. Enumerable.Range(0, count).Select(i => i * 7 % 50)];
                float[] LogitsAfter(int threads)
                {
                    using var transformer = new Transformer(model, new EngineOptions { Kernels = KernelSets.Select(set), Threads = threads });
                    return transformer.Forward(ids, 0).ToArray();
                }
                var expected = LogitsAfter(1);
                foreach (var threads in new[] { 2, 3, 7 })
                    Assert.Equal(expected, LogitsAfter(threads));
            }
        }
    }

    // The expected texts are what llama2.c's run.c printed, built with clang -O3 -ffp-contract=off.
    [Theory]
    [InlineData("run_t1_p0.9_s1.txt", 1f, 0.9f, 1, "")]
    [InlineData("run_t1_p0.9_s2.txt", 1f, 0.9f, 2, "")]
    [InlineData("run_t1_p0.9_s3.txt", 1f, 0.9f, 3, "")]
    [InlineData("run_t1_p0.9_s4.txt", 1f, 0.9f, 4, "")]
    [InlineData("run_t1_p0.9_s5.txt", 1f, 0.9f, 5, "")]
    [InlineData("run_t0.8_p0_s6.txt", 0.8f, 0f, 6, "")]
    [InlineData("run_t0.5_p0.5_s7.txt", 0.5f, 0.5f, 7, "")]
    [InlineData("run_t1_p0.9_s8_prompt.txt", 1f, 0.9f, 8, "Lily and Tom saw a dragon")]
    public void Write_Sampled_IsTheTextOfRunC(string file, float temperature, float topP, ulong seed, string prompt)
    {
        foreach (var set in KernelSets.Supported)
            Assert.Equal(Expected(file), Text(Stories260K.Path, set.Name, 1, temperature, topP, seed, prompt, steps: 256));
    }

    // What runq.c printed for the version 2 file of group size 4. The scalar kernels sum in its order; others round elsewhere in
    // float32, and a rounding may flip a quantised activation, so their text may part from it.
    [Fact]
    public void Write_Version2GreedyScalar_IsTheTextOfRunqC()
    {
        using var folder = new TempFolder();
        Assert.Equal(Expected("runq_t0_n256.txt"), Text(Stories260K.WriteAs(2, folder), "scalar", 1, temperature: 0, topP: 0.9f, seed: 1, prompt: "", steps: 256));
    }

    [Theory, MemberData(nameof(Sets))]
    public void Forward_Version2_AgreesWithFloat32OnTheNextToken(string set)
    {
        using var folder = new TempFolder();
        var ids = Stories260K.GreedyIds;
        var logits = Logits(Stories260K.WriteAs(2, folder), ids, set, 1);
        var agreed = Enumerable.Range(0, ids.Length - 1).Count(pos => ArgMax(logits, pos) == ids[pos + 1]);
        Assert.InRange(agreed, (ids.Length - 1) * 95 / 100, ids.Length - 1);
    }

    private static void AssertGolden(string path, int[] ids, float[] golden, string set, int threads)
    {
        var logits = Logits(path, ids, set, threads);
        Assert.Equal(golden.Length, logits.Length);
        for (var i = 0; i < golden.Length; i++)
            Assert.True(Math.Abs(golden[i] - logits[i]) <= LogitTolerance, $"logit {i}: expected {golden[i]:R}, got {logits[i]:R}");
        for (var pos = 0; pos + 1 < ids.Length; pos++)
            Assert.Equal(ids[pos + 1], ArgMax(logits, pos));
    }

    private static int ArgMax(float[] logits, int pos)
    {
        var row = logits.AsSpan(pos * 512, 512);
        var best = 0;
        for (var i = 1; i < row.Length; i++)
            if (row[i] > row[best])
                best = i;
        return best;
    }

    private static float[] Logits(string path, int[] ids, string set, int threads)
    {
        using var model = LlamaModel.Open(path);
        using var transformer = new Transformer(model, new EngineOptions { Kernels = KernelSets.Select(set), Threads = threads });
        var all = new List<float>();
        for (var pos = 0; pos < ids.Length; pos++)
            all.AddRange(transformer.Forward(ids[pos], pos));
        return [.. all];
    }

    private static string Text(string path, string set, int threads, float temperature, float topP, ulong seed, string prompt, int steps, bool batch = true)
    {
        using var model = LlamaModel.Open(path);
        using var transformer = new Transformer(model, new EngineOptions { Kernels = KernelSets.Select(set), Threads = threads, BatchPrompts = batch });
        var sampler = new Sampler(model.Config.VocabSize, temperature, topP, seed);
        var bytes = new List<byte>();
        new Generator(transformer, Stories260K.Tokenizer(), sampler).Write(prompt, steps, text => bytes.AddRange(text));
        return Encoding.UTF8.GetString([.. bytes]) + "\n"; // the command line's line feed
    }

    private static string Expected(string file) =>
        File.ReadAllText(Path.Combine(Fixtures.RepositoryRoot, "tests", "Inference.Tests", "Expected", file));
}
