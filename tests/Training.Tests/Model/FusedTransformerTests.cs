using System.Numerics;
using LlamaFullstack.Training.Kernels;
using LlamaFullstack.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Tests.Model;

/// <summary>The passes written out by hand against what torch's autograd makes of the same model.</summary>
public sealed class FusedTransformerTests
{
    // Heads of 2 to 24 features, shared and not, and sequences below, at and above a tile of 16 (float64) or 32 queries (float32).
    public static TheoryData<int, int, int, int> Shapes => new() { { 16, 4, 2, 12 }, { 24, 3, 3, 16 }, { 48, 2, 1, 33 }, { 16, 8, 8, 64 }, { 48, 2, 2, 1 }, { 80, 2, 1, 70 } };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Loss_Float64_HasTheLossAndGradientsOfAutograd(int dim, int heads, int keyHeads, int time)
    {
        foreach (var passes in Passes<double>())
            Compare(dim, heads, keyHeads, time, ScalarType.Float64, passes, bound: 1e-12); // sums of some hundred values near 1: n · ε, with a reserve of 50
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Loss_Float32_HasTheLossAndGradientsOfAutograd(int dim, int heads, int keyHeads, int time)
    {
        foreach (var passes in Passes<float>())
            Compare(dim, heads, keyHeads, time, ScalarType.Float32, passes, bound: 5e-4); // the same sums in float32
    }

    /// <summary>Every way to compute the passes. Registers that this processor lacks are computed with narrower ones: the code is the same.</summary>
    private static IEnumerable<Func<Transformer, Func<Tensor, Tensor, Tensor>>> Passes<T>() where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
    [
        model => model.Fused<T>(),
        model => model.Tiled<Register512<T>, T>(),
        model => model.Tiled<Register256<T>, T>(),
        model => model.Tiled<Register128<T>, T>(),
    ];

    [Fact]
    public void Loss_TwoBeforeTheirGradients_KeepsWhatBothNeed()
    {
        using var scope = NewDisposeScope();
        using var model = new Transformer(Tiny.Config, ModelPlacement.Cpu);
        Tensor[] tokens = [randint(0, Tiny.Config.VocabSize, [2, 12], dtype: ScalarType.Int64), randint(0, Tiny.Config.VocabSize, [2, 12], dtype: ScalarType.Int64)];
        List<Tensor> Gradients(Action backward)
        {
            backward();
            var gradients = model.Parameters.Values.Select(parameter => parameter.grad!.clone()).ToList();
            foreach (var parameter in model.Parameters.Values)
                parameter.grad = null;
            return gradients;
        }

        var together = Gradients(() =>
        {
            Tensor[] losses = [.. tokens.Select(batch => model.Loss(batch, batch))];
            foreach (var loss in losses)
                loss.backward();
        });
        var inTurns = Gradients(() =>
        {
            foreach (var batch in tokens)
                model.Loss(batch, batch).backward();
        });
        Assert.All(together.Zip(inTurns), pair => Assert.True(pair.First.equal(pair.Second).all().item<bool>()));
    }

    private static void Compare(int dim, int heads, int keyHeads, int time, ScalarType type, Func<Transformer, Func<Tensor, Tensor, Tensor>> passes, double bound)
    {
        using var scope = NewDisposeScope();
        manual_seed(11);
        var config = Tiny.Config with { Dim = dim, HiddenDim = 2 * dim + 4, NHeads = heads, NKvHeads = keyHeads, MaxSeqLen = time, VocabSize = 65 }; // a row more than a part of the gradient of the classifier
        using var model = new Transformer(config, new ModelPlacement(CPU, type, type));
        using (no_grad())
        {
            foreach (var parameter in model.Parameters.Values)
                nn.init.normal_(parameter, parameter.dim() == 1 ? 1 : 0, 0.3);
        }
        var fused = passes(model);
        var tokens = randint(0, config.VocabSize, [3, time], dtype: ScalarType.Int64);
        var targets = randint(-1, config.VocabSize, [3, time], dtype: ScalarType.Int64);

        var plain = model.PlainLoss(tokens, targets);
        (plain / 2).backward();
        var expected = model.Parameters.ToDictionary(entry => entry.Key, entry => entry.Value.grad!.clone());
        foreach (var parameter in model.Parameters.Values)
            parameter.grad = null;
        for (var micro = 0; micro < 2; micro++) // the gradients of two micro-batches add up
        {
            var loss = fused(tokens, targets);
            Assert.Equal(plain.ToDouble(), loss.ToDouble(), bound);
            (loss / 4).backward();
        }

        string[] wrong = [.. model.Parameters
            .Select(entry => (entry.Key, Difference: (entry.Value.grad! - expected[entry.Key]).abs().max().ToDouble()))
            .Where(entry => !(entry.Difference <= bound))
            .Select(entry => $"{entry.Key} differs by {entry.Difference}")];
        Assert.Empty(wrong);
        using var noGrad = no_grad();
        Assert.Equal(plain.ToDouble(), fused(tokens, targets).ToDouble(), bound);
    }
}
