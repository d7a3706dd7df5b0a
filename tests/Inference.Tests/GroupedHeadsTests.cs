using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Inference.Benchmarks;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference.Tests;

/// <summary>Several query heads to a key, at a position where their keys are taken in more than one part.</summary>
public sealed class GroupedHeadsTests : IDisposable
{
    private const int Position = 290;

    // 8 MB of weights, so that a token is worth four threads: three of them part the heads of a key.
    private static readonly LlamaConfig Shape = new() { Dim = 256, HiddenDim = 512, NLayers = 2, NHeads = 8, NKvHeads = 2, VocabSize = 4096, MaxSeqLen = 300 };

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Forward_AnyNumberOfThreads_GivesTheSameBitsAndScalarsNumbers()
    {
        var path = _folder.File("model.bin");
        ModelBinWriter.Write(path, new RandomWeights(Shape, 3), version: 1);
        using var model = LlamaModel.Open(path);
        var expected = Logits(model, new() { Threads = 1 });
        Assert.Equal(expected, Logits(model, new() { Threads = 2 }));
        Assert.Equal(expected, Logits(model, new() { Threads = 3 }));
        var scalar = Logits(model, new() { Kernels = KernelSets.Select("scalar") });
        var scale = scalar.Max(MathF.Abs);
        Assert.All(expected.Zip(scalar), pair => Assert.Equal(pair.Second, pair.First, 1e-4f * scale));
    }

    private static float[] Logits(LlamaModel model, EngineOptions options)
    {
        using var transformer = new Transformer(model, options);
        transformer.Accept([.. Enumerable.Range(0, Position).Select(i => i * 37 % Shape.VocabSize)], 0);
        for (var pos = Position; pos < Shape.MaxSeqLen - 1; pos++)
            transformer.Accept(pos, pos);
        return transformer.Forward(7, Shape.MaxSeqLen - 1).ToArray();
    }
}
