using System.Runtime.InteropServices;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Inference.Benchmarks;

namespace LlamaFullstack.Inference.Tests;

/// <summary>What a benchmark does and counts; never how fast it was.</summary>
public sealed class BenchmarkTests : IDisposable
{
    private static readonly LlamaConfig Shape = ModelShapes.ByName["260K"];

    private const int Header = 256;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1, "fp32")]
    [InlineData(2, "int8")]
    [InlineData(3, "int4")]
    public void Run_AModel_ReportsWhatItMeasured(int version, string type)
    {
        using var model = RandomModelFile(version);
        var result = Benchmark.Run(model, new() { Threads = 2, PromptTokens = 3, DecodeTokens = 2, Position = 510, Repeats = 1 },
            TestContext.Current.CancellationToken);

        Assert.Equal((type, 2, 3, 2, 510), (result.WeightType, result.Threads, result.PromptTokens, result.DecodeTokens, result.Position));
        Assert.Equal(model.File.Length - Header, result.WeightBytesPerToken); // the embedding is the classifier: a token reads all of the file
        Assert.Equal(1000, result.DecodeMilliseconds * result.DecodeTokensPerSecond, 1e-9);
        Assert.Equal(result.WeightBytesPerToken * result.DecodeTokensPerSecond, result.ShareOfBandwidth * result.ReadBytesPerSecond, 1e-3);
        // 3 tokens by every weight of 5 layers, with 4 kv heads of 8; the first attends to 1 position, the second to 2, the third to 3.
        var weights = 2 * 64 * (64 + 32) + 3 * 64 * 172;
        Assert.Equal(5 * (3 * weights + 2 * 64 * 6), result.PromptMultiplyAdds);
        Assert.Equal(result.PromptMultiplyAdds / 3.0 * result.PromptTokensPerSecond, result.ShareOfPeak * result.PeakMultiplyAddsPerSecond, 1e-3);
        Assert.True(result.PromptTokensPerSecond > 0 && result.PeakMultiplyAddsPerSecond > 0 && result.ResidentBytes > result.WeightBytesPerToken);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public unsafe void ReadAll_AnyNumberOfThreads_ReadsEveryByteOnce(int threads)
    {
        var words = new long[((5 << 20) + 512) / sizeof(long)]; // 5 MB and two steps: pieces are not alike
        new Random(1).NextBytes(MemoryMarshal.AsBytes(words.AsSpan()));
        var sum = words.Aggregate(0L, (sum, word) => sum + word);
        fixed (long* start = words)
        {
            using var pool = new WorkerPool(threads);
            var memory = new ReadBandwidth((byte*)start, words.Length * sizeof(long) + 255, pool);
            Assert.Equal(words.Length * sizeof(long), memory.Length);
            memory.ReadAll();
            Assert.Equal(sum, memory.Sum);
            memory.ReadAllWithHints();
            Assert.Equal(2 * sum, memory.Sum);
        }
    }

    [Fact]
    public void Run_WithLittleContextLeft_DecodesToItsEnd()
    {
        using var model = RandomModelFile(version: 0);
        Assert.Equal(3, Benchmark.Run(model, new() { Threads = 1, PromptTokens = 1, Position = 509, Repeats = 1 }, TestContext.Current.CancellationToken).DecodeTokens);
    }

    [Fact]
    public void Run_MoreThanTheContext_IsRefused()
    {
        using var model = RandomModelFile(version: 0);
        Assert.Equal("--tokens 2 from --position 511 on: the model's context is 512.",
            Assert.Throws<ArgumentException>(() => Benchmark.Run(model, new() { Position = 511, DecodeTokens = 2 }, TestContext.Current.CancellationToken)).Message);
        Assert.Equal("--prompt 513: the model's context is 512.",
            Assert.Throws<ArgumentException>(() => Benchmark.Run(model, new() { PromptTokens = 513 }, TestContext.Current.CancellationToken)).Message);
    }

    [Fact]
    public void RandomWeights_SameSeed_GivesTheSameNumbersOfAModelsSize()
    {
        var (once, again, other) = (new float[64 * 64], new float[64 * 64], new float[64 * 64]);
        new RandomWeights(Shape, 1).Read(TensorNames.Wq(0), once);
        new RandomWeights(Shape, 1).Read(TensorNames.Wq(0), again);
        new RandomWeights(Shape, 2).Read(TensorNames.Wq(0), other);

        Assert.Equal(once, again);
        Assert.NotEqual(once, other);
        // 4,096 values: the deviation of a sum's mean is 0.02 / 64, that of the deviation about 0.45 of it; six of them never happen.
        Assert.Equal(0, once.Average(), 6 * 0.02 / 64);
        Assert.Equal(0.02, Math.Sqrt(once.Average(value => (double)value * value)), 6 * 0.02 / 64);
    }

    private LlamaModel RandomModelFile(int version)
    {
        var path = _folder.File($"v{version}.bin");
        ModelBinWriter.Write(path, new RandomWeights(Shape, 1), version);
        return LlamaModel.Open(path);
    }
}
