using LlamaFullstack.Core;

namespace LlamaFullstack.Export.Tests;

/// <summary>Meta's folders: slices put together, the shape from params.json, and what is wrong said in one line.</summary>
public sealed class MetaFolderTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(4, false)]
    [InlineData(2, true)] // Llama 3's embedding
    public void Open_AnyNumberOfShards_GivesTheWholeTensors(int shards, bool embeddingByRows)
    {
        var model = new RandomModel(TinyMeta.Config, sharedClassifier: false, seed: 1);
        TinyMeta.Write(_folder, model, shards, embeddingByRows: embeddingByRows);
        using var source = ModelSource.Open(_folder.File("meta"));
        Assert.Equal(("Meta folder", TinyMeta.Config, false), (source.Format, source.Tensors.Config, source.Tensors.SharedClassifier));
        foreach (var tensor in TensorNames.All(TinyMeta.Config, sharedClassifier: false))
        {
            var values = new float[tensor.Length];
            source.Tensors.Read(tensor.Name, values);
            Assert.Equal(model[tensor.Name], values);
        }
    }

    [Fact]
    public void Open_CodeLlamasParams_HaveItsTheta()
    {
        Write(""", "rope_theta": 1000000, "ffn_dim_multiplier": 1.0""");
        using var source = ModelSource.Open(_folder.File("meta"));
        Assert.Equal(TinyMeta.Config with { RopeTheta = 1e6f }, source.Tensors.Config);
    }

    [Fact]
    public void Open_Llama31sParams_HaveItsScaling()
    {
        Write(""", "rope_theta": 500000.0, "use_scaled_rope": true, "n_kv_heads": 4""");
        using var source = ModelSource.Open(_folder.File("meta"));
        var scaling = new RopeScaling { Kind = RopeScalingKind.Llama3, Factor = 8, LowFreqFactor = 1, HighFreqFactor = 4, OriginalMaxSeqLen = 8192 };
        Assert.Equal(TinyMeta.Config with { RopeTheta = 5e5f, RopeScaling = scaling }, source.Tensors.Config);
    }

    [Theory]
    [InlineData(""", "n_layers": 2""", "params.json: not the JSON that was expected: ")] // twice
    [InlineData(""", "n_kv_heads": 3""", "params.json: n_kv_heads 3 must divide n_heads 4.")]
    [InlineData(""", "n_kv_heads": 2""", ": layers.0.attention.wk.weight has the shape (16, 16), expected (8, 16) from the configuration.")]
    [InlineData(""", "ffn_dim_multiplier": 1e300""", "params.json: hidden_dim 2147483647 must be between 1 and 1048576.")]
    [InlineData(""", "ffn_dim_multiplier": "x" """, "params.json: ffn_dim_multiplier 'x' is not a number.")]
    [InlineData(""", "hidden_dim": 40""", ": layers.0.feed_forward.w1.weight has the shape (48, 16), expected (40, 16) from the configuration.")]
    [InlineData(""", "max_seq_len": 0""", "params.json: max_seq_len 0 must be between 1 and 16777216.")]
    [InlineData(""", "rope_theta": -1""", "params.json: rope_theta -1 must be a positive number.")]
    [InlineData(""", "moe_args": {"num_experts": 8}""", "params.json: moe_args is set, which is not supported.")]
    public void Open_ParamsThatDoNotFit_NameTheField(string more, string message)
    {
        Write(more);
        AssertRefused(message);
    }

    [Theory]
    [InlineData("{}", "params.json: has no dim.")]
    [InlineData("[]", "params.json: not the JSON that was expected: not an object.")]
    [InlineData("""{"dim": 16.5}""", "params.json: dim '16.5' is not a whole number.")]
    [InlineData("""{"dim": 16, "n_heads": 0, "n_layers": 2, "vocab_size": 300}""", "params.json: n_heads 0 must be between 1 and 1048576.")]
    [InlineData("""{"dim": 16, "n_heads": 4, "n_layers": 2000000000, "vocab_size": 300}""", "params.json: n_layers 2000000000 must be between 1 and 4096.")]
    public void Open_ParamsThatAreNone_AreRefused(string parameters, string message)
    {
        TinyMeta.Write(_folder, new RandomModel(TinyMeta.Config, sharedClassifier: false, seed: 2), shards: 1, parameters);
        AssertRefused(message);
    }

    [Fact]
    public void Open_AMissingShard_IsNamed()
    {
        Write(shards: 4);
        File.Delete(_folder.File("meta/consolidated.01.pth"));
        AssertRefused(": has 3 files consolidated.*.pth, but no consolidated.01.pth: a part of the model is missing.");
    }

    [Fact]
    public void Open_TheLastShardMissing_DoesNotFit()
    {
        Write(shards: 4);
        File.Delete(_folder.File("meta/consolidated.03.pth"));
        AssertRefused(": tok_embeddings.weight has the shape (300, 12), expected (300, 16) from the configuration.");
    }

    [Fact]
    public void Open_WithoutShards_SaysWhatIsMissing()
    {
        Write(shards: 1);
        File.Delete(_folder.File("meta/consolidated.00.pth"));
        var error = Assert.Throws<FileNotFoundException>(() => ModelSource.Open(_folder.File("meta")));
        Assert.Equal($"{_folder.File("meta")}: has params.json, but no consolidated.00.pth beside it.", error.Message);
    }

    [Fact]
    public void Open_SlicesOfAnotherModel_AreRefused()
    {
        Write(shards: 2);
        var other = new RandomModel(TinyMeta.Config with { VocabSize = 400 }, sharedClassifier: false, seed: 3);
        _folder.Write("meta/consolidated.01.pth", TinyMeta.Shard(other, 1, 2));
        AssertRefused(": the slices of tok_embeddings.weight do not fit together.");
    }

    [Fact]
    public void Open_AFolderOfNeither_SaysWhatWasLookedFor()
    {
        Directory.CreateDirectory(_folder.File("meta"));
        AssertRefused(": a folder without config.json and params.json, so neither a model of Hugging Face's nor of Meta's.");
    }

    // Nothing is stored: the values are strides of 0 over one number.
    [Theory]
    [InlineData(4096, 11008, 32, 32, 32, 1, """{"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-05, "vocab_size": -1}""", 32000)]
    [InlineData(5120, 13824, 40, 40, 40, 2, """{"dim": 5120, "multiple_of": 256, "n_heads": 40, "n_layers": 40, "norm_eps": 1e-05, "vocab_size": -1}""", 32000)]
    [InlineData(8192, 28672, 80, 64, 8, 8, """{"dim": 8192, "multiple_of": 4096, "ffn_dim_multiplier": 1.3, "n_heads": 64, "n_kv_heads": 8, "n_layers": 80, "norm_eps": 1e-05, "vocab_size": -1}""", 32000)]
    [InlineData(4096, 11008, 32, 32, 32, 1, """{"dim": 4096, "n_layers": 32, "n_heads": 32, "multiple_of": 256, "ffn_dim_multiplier": 1.0, "norm_eps": 1e-05, "rope_theta": 1000000}""", 32016)]
    public void Open_ThePublishedShapes_AreUnderstood(int dim, int hiddenDim, int layers, int heads, int kvHeads, int shards, string parameters, int vocabSize)
    {
        var config = new LlamaConfig { Dim = dim, HiddenDim = hiddenDim, NLayers = layers, NHeads = heads, NKvHeads = kvHeads, VocabSize = vocabSize, MaxSeqLen = 2048 };
        var pickle = new Pickle().Dict().Mark();
        foreach (var tensor in TensorNames.All(config, sharedClassifier: false))
        {
            var byColumns = tensor.Name.Contains(".wo.") || tensor.Name.Contains(".w2.") || tensor.Name == TensorNames.TokEmbeddings;
            long[] shape = tensor.IsVector ? [tensor.Cols] : byColumns ? [tensor.Rows, tensor.Cols / shards] : [tensor.Rows / shards, tensor.Cols];
            pickle.Text(tensor.Name).Tensor("BFloat16Storage", "0", 2, 0, shape, new long[shape.Length]);
        }
        _folder.Write("meta/params.json", System.Text.Encoding.UTF8.GetBytes(parameters));
        var file = TorchZip.Save(pickle.SetItems().Stop(), [1]);
        for (var shard = 0; shard < shards; shard++)
            _folder.Write($"meta/consolidated.{shard:00}.pth", file);

        using var source = ModelSource.Open(_folder.File("meta"));
        Assert.Equal(config with { RopeTheta = source.Tensors.Config.RopeTheta }, source.Tensors.Config);
        Assert.Equal(vocabSize == 32016 ? 1e6f : 1e4f, source.Tensors.Config.RopeTheta);
    }

    private void Write(string more = "", int shards = 1) =>
        TinyMeta.Write(_folder, new RandomModel(TinyMeta.Config, sharedClassifier: false, seed: 2), shards, TinyMeta.Params.Replace("}", more + "}", StringComparison.Ordinal));

    private void AssertRefused(string message)
    {
        var error = Assert.Throws<InvalidDataException>(() => ModelSource.Open(_folder.File("meta")));
        Assert.StartsWith(_folder.File("meta"), error.Message);
        Assert.Contains(message, error.Message);
        Assert.DoesNotContain('\n', error.Message);
    }
}
