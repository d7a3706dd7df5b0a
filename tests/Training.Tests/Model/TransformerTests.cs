using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Training.Model;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Tests.Model;

public sealed class TransformerTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Parameters_AnyModel_HaveTheContractsNamesAndShapes(bool sharedClassifier)
    {
        using var model = new Transformer(Tiny.Config, ModelPlacement.Cpu, sharedClassifier: sharedClassifier);

        var expected = TensorNames.All(Tiny.Config, sharedClassifier)
            .ToDictionary(tensor => tensor.Name, tensor => tensor.IsVector ? $"{tensor.Cols}" : $"{tensor.Rows} x {tensor.Cols}");
        var actual = model.Parameters.ToDictionary(entry => entry.Key, entry => string.Join(" x ", entry.Value.shape));

        Assert.Equal(expected.OrderBy(entry => entry.Key), actual.OrderBy(entry => entry.Key));
    }

    [Theory]
    [InlineData("stories260K", "stories260K.bin", "tokens_260K_greedy_200.txt", "logits_260K_greedy_200x512_f32le.bin")]
    [InlineData("train-checkpoint", "model_v0.bin", "tokens_trainckpt_greedy_64.txt", "logits_trainckpt_greedy_64x512_f32le.bin")]
    public void NextLogits_RealModel_AreThoseOfLlama2c(string folder, string model, string tokens, string logits)
    {
        using var scope = NewDisposeScope();
        using var source = ModelBinFile.Open(Fixtures.Path(folder, model));
        using var transformer = Transformer.Load(source, ModelPlacement.Cpu);
        using var noGrad = no_grad();
        var ids = Fixtures.Ids(folder, tokens);
        var expected = Fixtures.Floats(folder, logits);
        var vocab = source.Config.VocabSize;

        // With a cache, token by token; the first 8 without one, to hold both paths against the same numbers.
        using var cache = transformer.NewCache();
        for (var step = 0; step < expected.Length / vocab; step++)
        {
            using var stepScope = NewDisposeScope();
            var row = expected.AsSpan(step * vocab, vocab);
            var cached = transformer.NextLogits([ids[step]], cache);
            Near(row, cached.data<float>().ToArray(), step);
            if (step < 8)
                Near(row, transformer.NextLogits([.. ids.Take(step + 1).Select(id => (long)id)]).data<float>().ToArray(), step);
        }
    }

    private static void Near(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, int step)
    {
        for (var i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) < 1e-4, $"step {step}, token {i}: expected {expected[i]}, got {actual[i]}");
    }
}
