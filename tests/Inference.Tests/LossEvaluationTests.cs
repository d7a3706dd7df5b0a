using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Inference.Tests;

public sealed class LossEvaluationTests : IDisposable
{
    private readonly TempFolder _folder = new();

    [Theory]
    [InlineData(3)] // less than a register
    [InlineData(67)]
    public void Add_AnyVocabulary_IsTheMeanOfMinusLogP(int vocabSize)
    {
        using var model = LlamaModel.Open(Write(vocabSize, weight => 10 * weight)); // far from flat
        using var transformer = new Transformer(model, new EngineOptions { Threads = 1 });
        var tokens = Enumerable.Range(0, 13).Select(i => (long)(i * 5 % vocabSize)).ToArray();
        var logits = new float[(tokens.Length - 1) * vocabSize];
        transformer.ForwardAll([.. tokens[..^1].Select(token => (int)token)], 0, logits);
        var expected = tokens.Skip(1).Select((next, i) =>
        {
            var scores = logits.Skip(i * vocabSize).Take(vocabSize).Select(score => (double)score).ToArray();
            return Math.Log(scores.Sum(score => Math.Exp(score - scores.Max()))) + scores.Max() - scores[next];
        }).Average();

        var evaluation = new LossEvaluation();
        evaluation.Add(transformer, tokens);
        evaluation.Add(transformer, tokens);

        Assert.Equal(2 * (tokens.Length - 1), evaluation.Count);
        Assert.Equal(expected, evaluation.MeanLoss, 2e-11);
    }

    [Fact]
    public void Add_NaNLogits_IsNaN()
    {
        using var model = LlamaModel.Open(Write(67, _ => float.NaN));
        using var transformer = new Transformer(model, new EngineOptions { Threads = 1 });
        var evaluation = new LossEvaluation();
        evaluation.Add(transformer, [1, 2, 3, 4, 5, 6]);
        Assert.True(double.IsNaN(evaluation.MeanLoss));
    }

    public void Dispose() => _folder.Dispose();

    private string Write(int vocabSize, Func<float, float> change)
    {
        var config = new LlamaConfig { Dim = 32, HiddenDim = 64, NLayers = 1, NHeads = 2, NKvHeads = 2, VocabSize = vocabSize, MaxSeqLen = 16 };
        var weights = new RandomModel(config, sharedClassifier: false, seed: 1);
        var output = weights[TensorNames.Output];
        for (var i = 0; i < output.Length; i++)
            output[i] = change(output[i]);
        var path = _folder.File("model.bin");
        ModelBinWriter.Write(path, weights, version: 1);
        return path;
    }
}
