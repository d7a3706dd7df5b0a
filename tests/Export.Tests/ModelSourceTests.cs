using System.Text.Json;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export.Tests;

/// <summary>Files are told apart by what they say, whatever they are called; and what is in ours.</summary>
public sealed class ModelSourceTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Open_ModelFile_IsKnownByItsContent(int version)
    {
        var path = _folder.File("ckpt.pt");
        ModelBinWriter.Write(path, new RandomModel(TinyCheckpoint.Config, sharedClassifier: true, seed: 2), version);
        using var source = ModelSource.Open(path);
        Assert.Equal($"llama2.c model, version {version}", source.Format);
        Assert.Equal(TinyCheckpoint.Config, source.Tensors.Config);
    }

    // Their first bytes are 80 00 and 80 02: so begins a pickle, too.
    [Theory]
    [InlineData(128)]
    [InlineData(640)]
    public void Open_V0FileThatBeginsLikeAPickle_IsAModelFile(int dim)
    {
        var path = _folder.File("model.bin");
        var config = TinyCheckpoint.Config with { Dim = dim, HiddenDim = 4, NLayers = 1 };
        ModelBinWriter.Write(path, new RandomModel(config, sharedClassifier: true, seed: 3), version: 0);
        using var source = ModelSource.Open(path);
        Assert.Equal(dim, source.Tensors.Config.Dim);
    }

    [Fact]
    public void Open_PyTorchFile_IsKnownByItsContent()
    {
        using var source = ModelSource.Open(_folder.Write("model.bin", new TinyCheckpoint().ToArray()));
        Assert.Equal("llama2.c checkpoint", source.Format);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Open_OwnCheckpoint_HasTheWeightsAndNotTheMoments(bool sharedClassifier)
    {
        var model = new RandomModel(TinyCheckpoint.Config with { RopeTheta = 1e6f }, sharedClassifier, seed: 4);
        using var source = ModelSource.Open(WriteNative(model, moments: true));
        Assert.Equal("llamafs checkpoint", source.Format);
        Assert.Equal(model.Config, source.Tensors.Config);
        Assert.Equal(sharedClassifier, source.Tensors.SharedClassifier);
        foreach (var tensor in TensorNames.All(model.Config, sharedClassifier))
        {
            var values = new float[tensor.Length];
            source.Tensors.Read(tensor.Name, values);
            Assert.Equal(model[tensor.Name], values);
        }
    }

    [Fact]
    public void Open_SafetensorsWithoutConfiguration_SaysSo()
    {
        var path = WriteNative(new RandomModel(TinyCheckpoint.Config, sharedClassifier: true, seed: 5), configuration: null);
        var error = Assert.Throws<InvalidDataException>(() => ModelSource.Open(path));
        Assert.Equal($"{path}: a safetensors file, but its metadata has no model_args: not a checkpoint of llamafs train.", error.Message);
    }

    [Theory]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("{\"dim\": \"8\"}")]
    [InlineData("not json")]
    public void Open_ConfigurationThatIsNone_IsRefusedInOneLine(string configuration)
    {
        var path = WriteNative(new RandomModel(TinyCheckpoint.Config, sharedClassifier: true, seed: 6), configuration);
        var error = Assert.Throws<InvalidDataException>(() => ModelSource.Open(path));
        Assert.StartsWith($"{path}: model_args is not a model's configuration: ", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void Open_ConfigurationThatDoesNotFitTheTensors_NamesTheTensor()
    {
        var other = JsonSerializer.Serialize(TinyCheckpoint.Config with { HiddenDim = 16 }, CoreJsonContext.Default.LlamaConfig);
        var path = WriteNative(new RandomModel(TinyCheckpoint.Config, sharedClassifier: true, seed: 7), other);
        var error = Assert.Throws<InvalidDataException>(() => ModelSource.Open(path));
        Assert.Equal($"{path}: layers.0.feed_forward.w1.weight has the shape (12, 8), expected (16, 8) from the configuration.", error.Message);
    }

    [Fact]
    public void Open_SomethingElse_IsRefusedInOneLine()
    {
        var path = _folder.Write("x", [.. Enumerable.Repeat((byte)'x', 100)]);
        var error = Assert.Throws<InvalidDataException>(() => ModelSource.Open(path));
        Assert.StartsWith($"{path}: not a llama2.c model", error.Message, StringComparison.Ordinal);
    }

    private string WriteNative(RandomModel model, bool moments = false) =>
        WriteNative(model, JsonSerializer.Serialize(model.Config, CoreJsonContext.Default.LlamaConfig), moments);

    private string WriteNative(RandomModel model, string? configuration, bool moments = false)
    {
        var tensors = TensorNames.All(model.Config, model.SharedClassifier)
            .Select(tensor => SafetensorsEntry.Create(tensor.Name, "F32", tensor.IsVector ? [tensor.Cols] : [tensor.Rows, tensor.Cols])).ToList();
        if (moments)
            tensors.Add(SafetensorsEntry.Create("optimizer.exp_avg.norm.weight", "F32", 1));
        var metadata = new Dictionary<string, string> { ["format"] = "llamafs-checkpoint-1", ["iter_num"] = "7" };
        if (configuration is not null)
            metadata["model_args"] = configuration;
        var path = _folder.File("ckpt.safetensors");
        SafetensorsWriter.Write(path, metadata, tensors, (entry, stream) =>
        {
            foreach (var value in entry.Name.StartsWith("optimizer.", StringComparison.Ordinal) ? [0f] : model[entry.Name])
                stream.Write(BitConverter.GetBytes(value));
        });
        return path;
    }
}
