using LlamaFullstack.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Tests.Model;

public sealed class GradientTests
{
    private static readonly ModelPlacement Double = new(CPU, ScalarType.Float64, ScalarType.Float64);

    [Theory]
    [InlineData(0)]
    [InlineData(0.3)]
    public void Loss_EveryParameter_HasTheGradientOfFiniteDifferences(double dropout)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        using var model = new Transformer(Tiny.Config, Double, dropout);
        Spread(model);
        var tokens = randint(0, Tiny.Config.VocabSize, [2, 12], dtype: ScalarType.Int64);
        var targets = randint(-1, Tiny.Config.VocabSize, [2, 12], dtype: ScalarType.Int64); // -1 does not count
        Tensor Loss()
        {
            manual_seed(8); // dropout is always the same
            return model.Loss(tokens, targets);
        }
        Loss().backward();

        const double Step = 1e-5;
        foreach (var (name, parameter) in model.Parameters)
        {
            using var parameterScope = NewDisposeScope();
            using var noGrad = no_grad();
            var values = parameter.view(-1);
            var gradient = parameter.grad!.view(-1);
            for (var i = 0L; i < values.shape[0]; i += Math.Max(1, values.shape[0] / 5))
            {
                double LossWith(double shift)
                {
                    values[i].add_(shift);
                    return Loss().ToDouble();
                }
                var difference = (LossWith(Step) - LossWith(-2 * Step)) / (2 * Step);
                LossWith(Step);
                // Central differences err by Step² · f'''/6, here near 1e-9, and by rounding of the loss (3.5 · 2^-53 / Step = 4e-11).
                Assert.Equal(difference, gradient[i].ToDouble(), 1e-7);
            }
        }
    }

    [Fact]
    public void NextLogits_GroupedQueries_AreFullHeadsWithRepeatedKeys()
    {
        using var scope = NewDisposeScope();
        manual_seed(4);
        using var grouped = new Transformer(Tiny.Config, Double);
        using var full = new Transformer(Tiny.Config with { NKvHeads = Tiny.Config.NHeads }, Double);
        Spread(grouped);
        using var noGrad = no_grad();
        foreach (var (name, parameter) in full.Parameters)
        {
            var source = grouped.Parameters[name].alias();
            if (source.shape[0] != parameter.shape[0]) // wk and wv: query heads 0 and 1 share key head 0, and 2 and 3 key head 1
                source = source.view(Tiny.Config.NKvHeads, 1, Tiny.Config.HeadSize, -1).expand(-1, 2, -1, -1).reshape(parameter.shape);
            parameter.copy_(source);
        }

        var difference = (grouped.NextLogits([1, 5, 9, 2]) - full.NextLogits([1, 5, 9, 2])).abs().max().ToDouble();
        Assert.True(difference < 1e-12, $"differ by {difference}");
    }

    [Fact]
    public void Forward_Dropout_ActsInTrainingAlone()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        manual_seed(5);
        using var with = new Transformer(Tiny.Config, ModelPlacement.Cpu, dropout: 0.5);
        using var without = Transformer.Load(with, ModelPlacement.Cpu);
        var tokens = randint(0, Tiny.Config.VocabSize, [2, 12], dtype: ScalarType.Int64);
        double Loss(Transformer model) => model.Loss(tokens, tokens).ToDouble();

        with.train();
        Assert.NotEqual(Loss(with), Loss(with));
        with.eval();
        Assert.Equal(Loss(without), Loss(with));
    }

    [Fact]
    public void Loss_BFloat16Products_IsNearFloat32AndTrainsFloat32Weights()
    {
        using var scope = NewDisposeScope();
        manual_seed(6);
        using var full = new Transformer(Tiny.Config, ModelPlacement.Cpu);
        using var mixed = Transformer.Load(full, ModelPlacement.Choose("cpu", "bfloat16"));
        var tokens = randint(0, Tiny.Config.VocabSize, [2, 12], dtype: ScalarType.Int64);
        var loss = mixed.Loss(tokens, tokens);
        loss.backward();

        // bfloat16 keeps 8 bits: a relative error of 2^-9 in each product, of logits below 1 here.
        Assert.Equal(full.Loss(tokens, tokens).ToDouble(), loss.ToDouble(), 0.01);
        Assert.All(mixed.Parameters.Values, parameter => Assert.Equal(ScalarType.Float32, parameter.dtype));
        Assert.All(mixed.Parameters.Values, parameter => Assert.Equal(ScalarType.Float32, parameter.grad!.dtype));
    }

    [Theory]
    [InlineData("cpu", "float8", "--dtype float8: must be float32, bfloat16 or float16.")]
    [InlineData("gpu", null, "--device gpu: must be cpu, cuda or cuda:N.")]
    public void Choose_WhatIsNotThere_SaysSo(string device, string? dtype, string message) =>
        Assert.StartsWith(message, Assert.Throws<ArgumentException>(() => ModelPlacement.Choose(device, dtype)).Message, StringComparison.Ordinal);

    [Fact]
    public void Parameters_Fresh_HaveTheirSpreads()
    {
        manual_seed(7);
        var config = Tiny.Config with { Dim = 128, HiddenDim = 256, NLayers = 8, VocabSize = 512 };
        using var model = new Transformer(config, ModelPlacement.Cpu);
        foreach (var (name, parameter) in model.Parameters.Where(entry => entry.Value.dim() == 2))
        {
            var residual = name.EndsWith("wo.weight", StringComparison.Ordinal) || name.EndsWith("w2.weight", StringComparison.Ordinal);
            var expected = residual ? 0.02 / 4 : 0.02; // sqrt(2 · 8) = 4
            // At least 8,192 values: the relative error of their deviation is below 1 / sqrt(2 · 8192) = 0.8 %; five times that.
            Assert.InRange(parameter.std().ToDouble(), expected * 0.96, expected * 1.04);
        }
    }

    /// <summary>Weights of the size that a trained model has, so that nothing is nearly linear.</summary>
    private static void Spread(Transformer model)
    {
        using var noGrad = no_grad();
        foreach (var parameter in model.Parameters.Values)
            nn.init.normal_(parameter, parameter.dim() == 1 ? 1 : 0, 0.3);
    }
}
