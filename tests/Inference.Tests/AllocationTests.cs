using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Inference.Tests;

/// <summary>Tests that count what the whole process allocates, or that another test's collection would disturb: they run while no other test does.</summary>
[CollectionDefinition(nameof(AloneInTheProcess), DisableParallelization = true)]
public class AloneInTheProcess;

[Collection(nameof(AloneInTheProcess))]
public class AllocationTests
{
    // 5.1 M weights in the embedding alone: as int8 too, enough for a token to be shared by two threads. As 4 bits one takes it.
    private static readonly LlamaConfig TwoThreadsWorth = new()
    {
        Dim = 128,
        HiddenDim = 384,
        NLayers = 2,
        NHeads = 4,
        NKvHeads = 2,
        VocabSize = 40_000,
        MaxSeqLen = 256,
    };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Forward_OnAllThreads_AllocatesNothing(int version)
    {
        const int Tokens = 20;
        using var folder = new TempFolder();
        ModelBinWriter.Write(folder.File("model.bin"), new RandomModel(TwoThreadsWorth, sharedClassifier: true, seed: 1), version, version == 1 ? null : 32);
        using var model = LlamaModel.Open(folder.File("model.bin"));
        Assert.True(version == 3 || ThreadCount.Useful(model.WeightBytesPerToken) > 1, "the model is too small to be shared");
        using var transformer = new Transformer(model, new EngineOptions { Threads = 2 });
        var sampler = new Sampler(TwoThreadsWorth.VocabSize, 1f, 0.9f, seed: 42);
        var token = 1;
        var pos = 0;
        long Allocated()
        {
            var before = GC.GetTotalAllocatedBytes(precise: true);
            for (var i = 0; i < Tokens; i++)
                token = sampler.Sample(transformer.Forward(token, pos++));
            return GC.GetTotalAllocatedBytes(precise: true) - before;
        }

        _ = Allocated(); // what is made once
        // The test host's own threads may allocate now and then; a token that does would in every round.
        Assert.Equal(0, Enumerable.Range(0, 8).Select(_ => Allocated()).ToArray().Min());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Tokens_OnceRunning_AllocateNothing(int threads)
    {
        using var model = LlamaModel.Open(Stories260K.Path);
        using var transformer = new Transformer(model, new EngineOptions { Threads = threads });
        var sampler = new Sampler(model.Config.VocabSize, 1f, 0.9f, seed: 42);
        var tokenizer = Stories260K.Tokenizer();
        var characters = new Utf8Stream();
        var length = 0;
        for (var token = 0; token < tokenizer.VocabSize; token++)
            _ = tokenizer.Decode(Vocabulary.Unk, token); // what is made when it is first needed
        using var tokens = new Generator(transformer, tokenizer, sampler).Tokens(new[] { Vocabulary.Bos }, 0).GetEnumerator();
        for (var i = 0; i < 20; i++)
            tokens.MoveNext();

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100 && tokens.MoveNext(); i++)
            length += characters.Push(tokenizer.Decode(Vocabulary.Unk, tokens.Current)).Length;
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.True(length > 100);
    }
}
