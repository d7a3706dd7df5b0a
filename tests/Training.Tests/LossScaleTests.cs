using LlamaFullstack.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Tests;

public sealed class LossScaleTests
{
    [Fact]
    public void Next_OverflowsAndGoodUpdates_FollowsGradScaler()
    {
        var scale = LossScale.Initial;
        Assert.Equal(65536, scale.Value);
        Assert.Equal(new LossScale(32768, 0), scale.Next(overflowed: true));
        for (var update = 1; update < 2000; update++)
            scale = scale.Next(overflowed: false);
        Assert.Equal(new LossScale(65536, 1999), scale);
        Assert.Equal(new LossScale(131072, 0), scale.Next(overflowed: false));
        Assert.Equal(new LossScale(32768, 0), scale.Next(overflowed: true)); // the count begins anew
    }

    [Fact]
    public void ClipGradients_Scaled_LeavesWhatAnUnscaledLossWouldHave()
    {
        using var scope = NewDisposeScope();
        manual_seed(8);
        using var model = new Transformer(Tiny.Config, ModelPlacement.Cpu);
        using var optimizer = new AdamW(model.Parameters, 0.1, 0.9, 0.95);
        var tokens = randint(0, Tiny.Config.VocabSize, [2, 12], dtype: ScalarType.Int64);
        Dictionary<string, Tensor> Gradients(double scale, double max)
        {
            (model.Loss(tokens, tokens) * scale).backward();
            optimizer.ClipGradients(max, scale);
            var gradients = model.Parameters.ToDictionary(entry => entry.Key, entry => entry.Value.grad!.clone());
            optimizer.ZeroGradients();
            return gradients;
        }

        foreach (var max in (double[])[0.01, 1000])
        {
            var (plain, scaled) = (Gradients(1, max), Gradients(65536, max));
            // The length is compared with max in float32, to which the 1e-6 that clip_grad_norm_ adds is scaled too: 1e-6 of it.
            Assert.All(plain, entry => Assert.True((entry.Value - scaled[entry.Key]).abs().max().ToDouble() <= 2e-6 * entry.Value.abs().max().ToDouble() + 1e-12, entry.Key));
        }
    }

    [Fact]
    public void Run_Float16StoppedAndResumed_IsTheRunThatNeverStopped()
    {
        using var folder = new TempFolder();
        var straight = Train(Float16(folder, "a"));
        var config = Float16(folder, "b");
        Train(config with { MaxIters = 4 });
        var rest = Train(config with { InitFrom = "resume" });

        Assert.Equal(straight.Losses.Skip(4), rest.Losses);
        using var expected = Checkpoint.Open(folder.File("a/ckpt.safetensors"));
        using var actual = Checkpoint.Open(folder.File("b/ckpt.safetensors"));
        Assert.Equal(new LossScale(65536, 8), expected.State.LossScale);
        Assert.Equal(expected.State, actual.State);
    }

    [Fact]
    public void Run_ScaleTooLarge_LeavesUpdatesOutUntilNoneOverflows()
    {
        using var folder = new TempFolder();
        var config = Float16(folder, "out") with { Dropout = 0 };
        Train(config with { MaxIters = 5 });
        const double TooLarge = 1L << 40;
        using (var before = Checkpoint.Open(folder.File("out/ckpt.safetensors")))
        using (var model = Transformer.Load(before, ModelPlacement.Cpu))
        using (var optimizer = new AdamW(model.Parameters, config.WeightDecay, config.Beta1, config.Beta2))
        {
            before.Restore(optimizer);
            Assert.Equal(5, optimizer.Steps);
            Checkpoint.Save(folder.File("out/ckpt.safetensors"), model, optimizer, before.TrainConfig, before.State with { LossScale = new(TooLarge, 0) });
        }
        Train(config with { InitFrom = "resume", MaxIters = 35 });

        using var after = Checkpoint.Open(folder.File("out/ckpt.safetensors"));
        var (scale, made) = after.State.LossScale!;
        var leftOut = (int)Math.Log2(TooLarge / scale);
        Assert.InRange(leftOut, 5, 29); // a gradient of some 0.01 fits up to 65,504 / 0.01, near 2^23
        Assert.InRange(made, 1, 30 - leftOut);
        using var trained = Transformer.Load(after, ModelPlacement.Cpu);
        using var restored = new AdamW(trained.Parameters, config.WeightDecay, config.Beta1, config.Beta2);
        after.Restore(restored);
        Assert.Equal(35 - leftOut, restored.Steps);
    }

    /// <summary>Small, since a processor multiplies float16 one number at a time.</summary>
    private static TrainingConfig Float16(TempFolder folder, string outDir) => TinyRun.Create(folder, outDir) with
    {
        Dtype = "float16",
        NLayers = 1,
        BatchSize = 1,
        GradientAccumulationSteps = 1,
        EvalInterval = 100,
        EvalIters = 1,
        MaxIters = 8,
        DecayLr = false,
    };

    private static EventLog Train(TrainingConfig config)
    {
        var log = new EventLog();
        using var trainer = new Trainer(config, log);
        trainer.Run();
        return log;
    }
}
