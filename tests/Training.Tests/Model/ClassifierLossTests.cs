using LlamaFullstack.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Tests.Model;

public sealed class ClassifierLossTests
{
    private static readonly ModelPlacement Double = new(CPU, ScalarType.Float64, ScalarType.Float64);

    // 1 position at a time, 3 and a rest, all at once.
    [Theory]
    [InlineData(1)]
    [InlineData(3 * 11)]
    [InlineData(1000)]
    public void Of_AnyPartSize_IsCrossEntropyWithItsGradients(long partSize)
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        var x = randn(10, 6, dtype: ScalarType.Float64, requires_grad: true);
        var weight = randn(11, 6, dtype: ScalarType.Float64, requires_grad: true);
        var targets = tensor(new long[] { 0, 10, 3, -1, 5, 5, -1, 1, 2, 9 });

        var plain = nn.functional.cross_entropy(nn.functional.linear(x, weight), targets, ignore_index: -1) / 3;
        plain.backward();
        var (plainX, plainWeight) = (x.grad!.clone(), weight.grad!.clone());
        x.grad = null;
        weight.grad = null;
        var loss = ClassifierLoss.Of(x, weight, targets, Double, partSize) / 3;
        loss.backward();

        // Sums of at most 66 terms below 10 in float64: n · ε · 10
        Assert.Equal(plain.ToDouble(), loss.ToDouble(), 1e-12);
        Assert.True((x.grad! - plainX).abs().max().ToDouble() < 1e-12);
        Assert.True((weight.grad! - plainWeight).abs().max().ToDouble() < 1e-12);
        using var noGrad = no_grad();
        Assert.Equal(loss.ToDouble(), ClassifierLoss.Of(x, weight, targets, Double, partSize).ToDouble() / 3, 1e-15);
    }
}
