using LlamaFullstack.Core;
using LlamaFullstack.Export.Sources;

namespace LlamaFullstack.Export.Tests;

public sealed class LlamaCheckpointPtTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Open_CheckpointOfLlama2c_HasItsConfiguration()
    {
        using var checkpoint = LlamaCheckpointPt.Open(Fixtures.Path("train-checkpoint", "ckpt.pt"));
        Assert.Equal(
            new LlamaConfig { Dim = 64, HiddenDim = 192, NLayers = 5, NHeads = 8, NKvHeads = 4, VocabSize = 512, MaxSeqLen = 256 },
            checkpoint.Config);
        Assert.True(checkpoint.SharedClassifier);
    }

    [Theory]
    [InlineData("")]
    [InlineData("_orig_mod.")]
    public void Read_EveryTensor_IsWhatWasSaved(string prefix)
    {
        var tiny = new TinyCheckpoint();
        using var checkpoint = LlamaCheckpointPt.Open(_folder.Write("ckpt.pt", tiny.ToArray(prefix)));
        Assert.Equal(TinyCheckpoint.Config, checkpoint.Config);
        Assert.False(checkpoint.SharedClassifier);
        foreach (var tensor in TensorNames.All(checkpoint.Config, sharedClassifier: false))
        {
            var values = new float[tensor.Length];
            checkpoint.Read(tensor.Name, values);
            Assert.Equal(tiny.Model[tensor.Name], values);
        }
    }

    [Fact]
    public void Open_NoNKvHeads_IsNHeads()
    {
        var tiny = new TinyCheckpoint();
        tiny.Args["n_kv_heads"] = null;
        for (var layer = 0; layer < TinyCheckpoint.Config.NLayers; layer++)
        {
            tiny.Replace(TensorNames.Wk(layer), new float[64], 8, 8);
            tiny.Replace(TensorNames.Wv(layer), new float[64], 8, 8);
        }
        using var checkpoint = LlamaCheckpointPt.Open(_folder.Write("ckpt.pt", tiny.ToArray()));
        Assert.Equal(2, checkpoint.Config.NKvHeads);
    }

    [Fact]
    public void Open_ClassifierEqualToTheEmbedding_IsShared()
    {
        var tiny = new TinyCheckpoint();
        var embedding = tiny.Model[TensorNames.TokEmbeddings];
        tiny.Replace(TensorNames.Output, embedding, 300, 8);
        using (var equal = LlamaCheckpointPt.Open(_folder.Write("equal.pt", tiny.ToArray())))
            Assert.True(equal.SharedClassifier);

        tiny.Replace(TensorNames.Output, [.. embedding[..^1], embedding[^1] + 1], 300, 8);
        using (var almost = LlamaCheckpointPt.Open(_folder.Write("almost.pt", tiny.ToArray())))
            Assert.False(almost.SharedClassifier);

        tiny.Tensors.RemoveAll(tensor => tensor.Name == TensorNames.Output);
        using (var none = LlamaCheckpointPt.Open(_folder.Write("none.pt", tiny.ToArray())))
        {
            Assert.True(none.SharedClassifier);
            var classifier = new float[embedding.Length];
            none.Read(TensorNames.Output, classifier);
            Assert.Equal(embedding, classifier);
        }
    }

    [Fact]
    public void Open_MissingTensor_IsNamed()
    {
        var tiny = new TinyCheckpoint();
        tiny.Tensors.RemoveAll(tensor => tensor.Name == TensorNames.Wo(1));
        AssertRefused(tiny.ToArray(), "the tensor layers.1.attention.wo.weight is missing.");
    }

    [Fact]
    public void Open_TensorOfAnotherShape_IsNamed()
    {
        var tiny = new TinyCheckpoint();
        tiny.Replace(TensorNames.W2(0), new float[96], 12, 8);
        AssertRefused(tiny.ToArray(), "layers.0.feed_forward.w2.weight has the shape (12, 8), expected (8, 12) from the configuration.");
    }

    [Fact]
    public void Open_ClassifierOfEndlessEmptyRows_IsRefusedByItsShape()
    {
        var tiny = new TinyCheckpoint();
        tiny.Replace(TensorNames.Output, [], 1L << 60, 0);
        AssertRefused(tiny.ToArray(), "output.weight has the shape (1152921504606846976, 0), expected (300, 8) from the configuration.");
    }

    [Fact]
    public void Open_TensorThatTheModelDoesNotHave_IsNamed()
    {
        var tiny = new TinyCheckpoint();
        tiny.Tensors.Add(("layers.0.attention.wq.bias", new float[8], [8]));
        AssertRefused(tiny.ToArray(), "has the tensor 'layers.0.attention.wq.bias', which a Llama 2 model of 2 layers does not have.");
    }

    [Fact]
    public void Open_TablesThatOlderVersionsSaved_AreIgnored()
    {
        var tiny = new TinyCheckpoint();
        tiny.Tensors.Add(("freqs_cos", new float[32], [16, 2]));
        tiny.Tensors.Add(("layers.0.attention.mask", new float[256], [1, 1, 16, 16]));
        LlamaCheckpointPt.Open(_folder.Write("ckpt.pt", tiny.ToArray())).Dispose();
    }

    [Theory]
    [InlineData("dim", null, "model_args has no dim.")]
    [InlineData("n_heads", 0L, "model_args: n_heads 0 must be between 1 and 1048576.")]
    [InlineData("n_layers", 1000000000L, "model_args: n_layers 1000000000 must be between 1 and 4096.")]
    [InlineData("vocab_size", 1L << 40, "vocab_size of model_args is not a whole number.")]
    [InlineData("vocab_size", 299L, "tok_embeddings.weight has the shape (300, 8), expected (299, 8) from the configuration.")]
    public void Open_BadModelArgs_NamesTheField(string name, long? value, string message)
    {
        var tiny = new TinyCheckpoint();
        tiny.Args[name] = value;
        AssertRefused(tiny.ToArray(), message);
    }

    [Fact]
    public void Open_AnotherFileOfPyTorch_SaysWhatIsMissing()
    {
        var path = Fixtures.Path("torch-pt", "state_dict.pt");
        var error = Assert.Throws<InvalidDataException>(() => LlamaCheckpointPt.Open(path));
        Assert.Equal($"{path}: not a checkpoint of llama2.c: a PyTorch file without 'model' and 'model_args'.", error.Message);
    }

    private void AssertRefused(byte[] bytes, string message)
    {
        var path = _folder.Write("ckpt.pt", bytes);
        var error = Assert.Throws<InvalidDataException>(() => LlamaCheckpointPt.Open(path));
        Assert.Equal($"{path}: {message}", error.Message);
    }
}
