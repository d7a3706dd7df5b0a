using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Export.Targets;

namespace LlamaFullstack.Export.Tests;

/// <summary>ckpt.pt as it is written here. That PyTorch and llama2.c read it, too: scripts/check-pytorch.sh.</summary>
public sealed class CheckpointPtWriterTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("stories260K", "stories260K.bin")]
    [InlineData("train-checkpoint", "model_v0.bin")]
    public void Write_ThereAndBack_IsTheSameModelFile(string folder, string name)
    {
        var original = Fixtures.Path(folder, name);
        Export(original, "ckpt.pt", ModelExport.CheckpointPtVersion);
        Export(_folder.File("ckpt.pt"), "back.bin", 0);
        Assert.Equal(File.ReadAllBytes(original), File.ReadAllBytes(_folder.File("back.bin")));
    }

    [Fact]
    public void Write_Twice_IsTheSameFile()
    {
        var model = Tiny();
        CheckpointPtWriter.Write(_folder.File("a.pt"), model);
        CheckpointPtWriter.Write(_folder.File("b.pt"), model);
        Assert.Equal(File.ReadAllBytes(_folder.File("a.pt")), File.ReadAllBytes(_folder.File("b.pt")));
    }

    [Fact]
    public void Write_NormEps_Travels()
    {
        var model = Tiny(TinyCheckpoint.Config with { NormEps = 1e-6f });
        CheckpointPtWriter.Write(_folder.File("a.pt"), model);
        using var source = ModelSource.Open(_folder.File("a.pt"));
        Assert.Equal(model.Config, source.Tensors.Config);
    }

    [Fact]
    public void Write_Float16_IsHalfAsLongAndRounded()
    {
        var model = Tiny();
        CheckpointPtWriter.Write(_folder.File("a.pt"), model, NumberType.Float16);
        using var source = ModelSource.Open(_folder.File("a.pt"));
        var values = new float[model[TensorNames.Wq(1)].Length];
        source.Tensors.Read(TensorNames.Wq(1), values);
        Assert.Equal(model[TensorNames.Wq(1)].Select(value => (float)(Half)value), values);
    }

    [Fact]
    public void Write_WeightBeyondFloat16_NamesTheTensor()
    {
        var model = Tiny();
        model[TensorNames.Wo(1)][5] = 65_520; // the least that rounds to infinity
        var error = Assert.Throws<InvalidDataException>(() => CheckpointPtWriter.Write(_folder.File("a.pt"), model, NumberType.Float16));
        Assert.Equal("layers.1.attention.wo.weight has the weight 65520, which is too large for float16. Write float32 instead.", error.Message);
        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void Write_WhatLlama2cCannotExpress_IsRefused()
    {
        string Refused(RandomModel model) => Assert.Throws<ArgumentException>(() => CheckpointPtWriter.Write(_folder.File("a.pt"), model)).Message;
        Assert.StartsWith("ckpt.pt has no field for the model's rope_theta 1000000, ", Refused(Tiny(TinyCheckpoint.Config with { RopeTheta = 1e6f })));
        var scaling = new RopeScaling { Kind = RopeScalingKind.Linear, Factor = 2 };
        Assert.StartsWith("ckpt.pt has no field for the model's rope_scaling, ", Refused(Tiny(TinyCheckpoint.Config with { RopeScaling = scaling })));
        Assert.StartsWith("llama2.c's ckpt.pt shares the classifier", Refused(new RandomModel(TinyCheckpoint.Config, sharedClassifier: false, seed: 1)));
    }

    private static RandomModel Tiny(LlamaConfig? config = null) => new(config ?? TinyCheckpoint.Config, sharedClassifier: true, seed: 1);

    private void Export(string source, string target, int version)
    {
        using var model = ModelSource.Open(source);
        ModelExport.Write(model, _folder.File(target), version);
    }
}
