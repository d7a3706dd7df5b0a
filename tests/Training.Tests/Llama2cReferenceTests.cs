using LlamaFullstack.Core;
using LlamaFullstack.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Tests;

/// <summary>Logits and 20 updates of a tiny model against llama2.c's model.py in PyTorch; scripts/llama2c-reference.py prints the figures.</summary>
public sealed class Llama2cReferenceTests
{
    // PyTorch 1.13.1, one thread.
    private static readonly float[] Logits =
        [-0.7111152f, -1.009929f, -1.176988f, -1.190496f, -1.048693f, -0.7700767f, -0.3909965f, 0.03909329f];

    private static readonly double[] Losses =
    [
        3.65686, 3.425349, 3.237479, 3.081125, 2.952418, 2.848601, 2.767679, 2.688738, 2.603749, 2.517856,
        2.430399, 2.356597, 2.281767, 2.231083, 2.177272, 2.11604, 2.054847, 2.001137, 1.945008, 1.894703,
    ];

    [Fact]
    public void Step_TwentyUpdates_AreThoseOfLlama2cInPyTorch()
    {
        using var scope = NewDisposeScope();
        using var model = new Transformer(
            new LlamaConfig { Dim = 16, HiddenDim = 48, NLayers = 2, NHeads = 4, NKvHeads = 2, VocabSize = 32, MaxSeqLen = 12 }, ModelPlacement.Cpu);
        SetByFormula(model);
        using var optimizer = new AdamW(model.Parameters, 0.1, 0.9, 0.95);
        var tokens = from_array(new long[2, 13]);
        for (var row = 0; row < 2; row++)
        {
            for (var column = 0; column < 13; column++)
                tokens[row, column] = (7 * row + 5 * column + column * column) % 32;
        }
        var (x, y) = (tokens.narrow(1, 0, 12).contiguous(), tokens.narrow(1, 1, 12).contiguous());

        using (no_grad())
        {
            // Sums of at most 48 products near 0.2 in each of some 15 operations one after another: 15 · 48 · 2^-24 = 4e-5.
            var logits = model.NextLogits(x.narrow(0, 0, 1)).data<float>().ToArray();
            Assert.Equal(Logits, logits[..Logits.Length], (a, b) => Math.Abs(a - b) <= 4e-5f);
        }
        foreach (var expected in Losses)
        {
            using var stepScope = NewDisposeScope();
            var loss = model.Loss(x, y);
            // Seven digits are printed. A first update moves each weight by the learning rate's 5e-3 whatever its gradient's size,
            // so that roundings of the smallest gradients come back as up to a thousandth of that.
            Assert.Equal(expected, loss.ToDouble(), 5e-5);
            loss.backward();
            optimizer.ClipGradients(1.0);
            optimizer.Step(5e-3);
            optimizer.ZeroGradients();
        }
    }

    private static void SetByFormula(Transformer model)
    {
        using var noGrad = no_grad();
        var number = 0;
        foreach (var (_, parameter) in model.Parameters.OrderBy(entry => entry.Key, StringComparer.Ordinal))
        {
            var values = new float[parameter.numel()];
            for (var i = 0; i < values.Length; i++)
                values[i] = (float)(0.2 * Math.Sin(1 + number + 0.37 * i) + (parameter.dim() == 1 ? 1 : 0));
            parameter.copy_(from_array(values).view(parameter.shape));
            number++;
        }
    }
}
