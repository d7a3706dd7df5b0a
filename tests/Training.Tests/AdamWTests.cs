using LlamaFullstack.Training.Model;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Tests;

public sealed class AdamWTests
{
    [Theory]
    [InlineData("15M", 43, 15187968, 13, 3744)]
    [InlineData("260K", 36, 259328, 11, 704)]
    public void Count_KnownModel_DecaysWhatLlama2cDecays(string preset, int decayed, long decayedValues, int others, long otherValues)
    {
        using var model = new Transformer(TrainingOptions.Resolve(preset, null, []).Model, ModelPlacement.Cpu);
        using var optimizer = new AdamW(model.Parameters, 0.1, 0.9, 0.95);

        Assert.Equal((decayed, decayedValues), optimizer.Count(decayed: true));
        Assert.Equal((others, otherValues), optimizer.Count(decayed: false));
    }

    [Fact]
    public void Step_SeveralUpdates_IsTorchSharpsAdamW()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        using var ours = new Transformer(Tiny.Config, ModelPlacement.Cpu);
        using var theirs = Transformer.Load(ours, ModelPlacement.Cpu);
        using var optimizer = new AdamW(ours.Parameters, 0.1, 0.9, 0.95);
        using var reference = optim.AdamW(
            new List<TorchSharp.Modules.AdamW.ParamGroup>
            {
                new(theirs.Parameters.Values.Where(p => p.dim() >= 2), new() { weight_decay = 0.1 }),
                new(theirs.Parameters.Values.Where(p => p.dim() < 2), new() { weight_decay = 0.0 }),
            }, lr: 1e-2, beta1: 0.9, beta2: 0.95);
        var tokens = randint(0, Tiny.Config.VocabSize, [2, 12], dtype: ScalarType.Int64);
        for (var i = 0; i < 5; i++)
        {
            ours.Loss(tokens, tokens).backward();
            optimizer.Step(1e-2);
            optimizer.ZeroGradients();
            reference.zero_grad();
            theirs.Loss(tokens, tokens).backward();
            reference.step();
        }

        // The same formula with its factors in another order: a few roundings of numbers near 0.1, over five steps of 0.01.
        foreach (var (name, parameter) in ours.Parameters)
            Assert.True((parameter - theirs.Parameters[name]).abs().max().item<float>() < 1e-5f, name);
    }

    [Fact]
    public void Step_FusedKernel_IsThePlainFormula()
    {
        using var scope = NewDisposeScope();
        manual_seed(2);
        using var fused = new Transformer(Tiny.Config, ModelPlacement.Cpu);
        using var plain = Transformer.Load(fused, ModelPlacement.Cpu);
        using var fusedOptimizer = new AdamW(fused.Parameters, 0.1, 0.9, 0.95);
        using var plainOptimizer = new AdamW(plain.Parameters, 0.1, 0.9, 0.95);
        foreach (var (name, parameter) in fused.Parameters)
        {
            parameter.grad = randn_like(parameter);
            plain.Parameters[name].grad = parameter.grad.clone();
        }
        for (var i = 0; i < 3; i++)
        {
            fusedOptimizer.Step(1e-2);
            using var noGrad = no_grad();
            plainOptimizer.Steps++;
            plainOptimizer.StepPlain(1e-2);
        }

        // A handful of roundings a step, of moments near 1 and of weights below 2: 3 · 8 · 2^-23
        foreach (var (theirs, ours) in plainOptimizer.Moments.Zip(fusedOptimizer.Moments))
        {
            Assert.True((theirs.Mean - ours.Mean).abs().max().item<float>() < 3e-6f, theirs.Name);
            Assert.True((theirs.Square - ours.Square).abs().max().item<float>() < 3e-6f, theirs.Name);
            Assert.True((plain.Parameters[theirs.Name] - fused.Parameters[ours.Name]).abs().max().item<float>() < 3e-6f, theirs.Name);
        }
    }
}
