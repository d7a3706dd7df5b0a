using LlamaFullstack.Export;
using LlamaFullstack.Training.Model;

namespace LlamaFullstack.Training.Tests;

public sealed class TextSamplerTests
{
    [Theory]
    [InlineData("stories260K", "stories260K.bin", "tokens_260K_greedy_200.txt", 200)]
    [InlineData("train-checkpoint", "model_v0.bin", "tokens_trainckpt_greedy_64.txt", 64)]
    public void Generate_Greedy_GivesTheIdsOfLlama2c(string folder, string file, string ids, int count)
    {
        using var source = ModelSource.Open(Fixtures.Path(folder, file));
        using var model = Transformer.Load(source.Tensors, ModelPlacement.Cpu);
        var expected = Fixtures.Ids(folder, ids).Take(count).ToArray();

        // The fixture begins with BOS, which is the prompt.
        var actual = new TextSampler(model, temperature: 0, topK: 300, seed: 1337).Generate([expected[0]], count - 1).ToArray();
        Assert.Equal(expected[1..(actual.Length + 1)], actual);
        Assert.True(actual.Length == count - 1 || expected[actual.Length + 1] is 1 or 2, "ended before the text did");
    }

    [Fact]
    public void Generate_SameSeed_DrawsTheSame()
    {
        using var model = new Transformer(Tiny.Config, ModelPlacement.Cpu);
        int[] Draw(long seed) => [.. new TextSampler(model, 1.0, topK: 0, seed).Generate([1], 10)];

        Assert.Equal(Draw(1), Draw(1));
        Assert.NotEqual(Draw(1), Draw(2));
    }

    [Fact]
    public void Generate_BeyondTheContext_ForgetsTheOldest()
    {
        foreach (var seed in Enumerable.Range(1, 20)) // a model that likes to end its texts does not reach that far
        {
            TorchSharp.torch.manual_seed(seed);
            using var model = new Transformer(Tiny.Config, ModelPlacement.Cpu);
            var ids = new TextSampler(model, 1.0, topK: 5, seed).Generate([1], 40).ToList();
            if (ids.Count == 40)
                return; // past 12 positions, and every step gave a token
        }
        Assert.Fail("every text ended before its 40th token");
    }

    [Fact]
    public void Generate_TopK1_IsGreedy()
    {
        using var model = new Transformer(Tiny.Config, ModelPlacement.Cpu);
        Assert.Equal(
            new TextSampler(model, 0, topK: 0, seed: 1).Generate([1, 7], 8),
            new TextSampler(model, 1.0, topK: 1, seed: 9).Generate([1, 7], 8));
    }

    [Fact]
    public void Load_CheckpointAndBin_AreTheSameModel()
    {
        using var folder = new TempFolder();
        var config = TinyRun.Create(folder) with { MaxIters = 3 };
        using (var trainer = new Trainer(config))
            trainer.Run();
        using var sourceOfCheckpoint = ModelSource.Open(folder.File("out/ckpt.safetensors"));
        using var sourceOfBin = ModelSource.Open(folder.File("out/model.bin"));
        using var checkpoint = Transformer.Load(sourceOfCheckpoint.Tensors, ModelPlacement.Cpu);
        using var bin = Transformer.Load(sourceOfBin.Tensors, ModelPlacement.Cpu);

        Assert.Equal(checkpoint.NextLogits([1, 2, 3]).data<float>().ToArray(), bin.NextLogits([1, 2, 3]).data<float>().ToArray());
    }
}
