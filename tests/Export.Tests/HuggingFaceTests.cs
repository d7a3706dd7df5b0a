using System.Text;
using System.Text.Json.Nodes;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Export.Targets;

namespace LlamaFullstack.Export.Tests;

/// <summary>Folders of Hugging Face's, read and written. That the order of rows is transformers' own is pinned by <see cref="QueryRows_Written_AreHalfAHeadApart"/>.</summary>
public sealed class HuggingFaceTests : IDisposable
{
    private static readonly LlamaConfig Config = TinyCheckpoint.Config with { NHeads = 2, NKvHeads = 1, RopeTheta = 5e5f, NormEps = 1e-6f, RopeScaling = Llama3 };

    private static RopeScaling Llama3 => new() { Kind = RopeScalingKind.Llama3, Factor = 8, LowFreqFactor = 1, HighFreqFactor = 4, OriginalMaxSeqLen = 8192 };

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("stories260K", "stories260K.bin")]
    [InlineData("train-checkpoint", "model_v0.bin")]
    public void Write_ThereAndBack_IsTheSameModelFile(string folder, string name)
    {
        var original = Fixtures.Path(folder, name);
        using (var model = ModelSource.Open(original))
            Assert.Equal(ModelExport.HuggingFaceVersion, ModelExport.Write(model, _folder.File("hf"), ModelExport.HuggingFaceVersion).Version);
        using (var copy = ModelSource.Open(_folder.File("hf")))
            ModelExport.Write(copy, _folder.File("back.bin"), version: 0);
        Assert.Equal(File.ReadAllBytes(original), File.ReadAllBytes(_folder.File("back.bin")));
    }

    [Theory]
    [InlineData(true, HuggingFaceWriter.DefaultShardLength, 1)]
    [InlineData(false, HuggingFaceWriter.DefaultShardLength, 1)]
    [InlineData(false, 10_000, 3)] // the embedding, the layers, the classifier
    [InlineData(true, 1, 20)] // a tensor each
    public void Write_AnyNumberOfShards_ReadsBackTheSame(bool sharedClassifier, long shardLength, int files)
    {
        var model = new RandomModel(Config, sharedClassifier, seed: 1);
        File.WriteAllText(_folder.Write("hf/model.safetensors", [0]), "from before");
        HuggingFaceWriter.Write(_folder.File("hf"), model, shardLength: shardLength);

        Assert.Equal(files, Directory.GetFiles(_folder.File("hf"), "*.safetensors").Length);
        using var read = ModelSource.Open(_folder.File("hf"));
        Assert.Equal(("Hugging Face folder", Config, sharedClassifier), (read.Format, read.Tensors.Config, read.Tensors.SharedClassifier));
        foreach (var tensor in TensorNames.All(Config, sharedClassifier))
        {
            var values = new float[tensor.Length];
            read.Tensors.Read(tensor.Name, values);
            Assert.Equal(model[tensor.Name], values);
        }
    }

    [Fact]
    public void QueryRows_Written_AreHalfAHeadApart()
    {
        // Heads of 4 rows: Llama rotates rows (0, 1) and (2, 3), transformers (0, 2) and (1, 3).
        var model = new RandomModel(Config, sharedClassifier: true, seed: 2);
        HuggingFaceWriter.Write(_folder.File("hf"), model);
        using var file = SafetensorsFile.Open(_folder.File("hf/model.safetensors"));
        var written = new float[64];
        file.ReadFloats("model.layers.0.self_attn.q_proj.weight", written);
        int[] llamaRows = [0, 2, 1, 3, 4, 6, 5, 7];
        for (var row = 0; row < 8; row++)
            Assert.Equal(model[TensorNames.Wq(0)].AsSpan(llamaRows[row] * 8, 8), written.AsSpan(row * 8, 8));
    }

    [Fact]
    public void Open_PyTorchWeights_AreReadLikeSafetensors()
    {
        var model = new RandomModel(Config, sharedClassifier: true, seed: 3);
        HuggingFaceWriter.Write(_folder.File("hf"), model);
        using (var file = SafetensorsFile.Open(_folder.File("hf/model.safetensors")))
        {
            var pickle = new Pickle().Dict().Mark();
            var storages = new List<float[]>();
            foreach (var tensor in file.Tensors)
            {
                var values = new float[tensor.Count];
                file.ReadFloats(tensor.Name, values);
                long[] strides = tensor.Shape.Count == 1 ? [1] : [tensor.Shape[1], 1];
                pickle.Text(tensor.Name).Tensor("FloatStorage", $"{storages.Count}", values.Length, 0, [.. tensor.Shape], strides);
                storages.Add(values);
            }
            _folder.Write("hf/pytorch_model.bin", TorchZip.Save(pickle.SetItems().Stop(), [.. storages]));
        }
        File.Delete(_folder.File("hf/model.safetensors"));

        using var read = ModelSource.Open(_folder.File("hf"));
        var wk = new float[model[TensorNames.Wk(1)].Length];
        read.Tensors.Read(TensorNames.Wk(1), wk);
        Assert.Equal(model[TensorNames.Wk(1)], wk);
    }

    [Theory]
    [InlineData("model_type", "\"qwen2\"", "model_type 'qwen2' is not Llama's architecture.")]
    [InlineData("model_type", "null", "has no model_type, so it is not Hugging Face's. The folder of a run is a model once the run has saved a checkpoint.")]
    [InlineData("hidden_act", "\"gelu\"", "hidden_act 'gelu' is not supported, silu is.")]
    [InlineData("attention_bias", "true", "attention_bias is true, but the formats here have no place for biases.")]
    [InlineData("mlp_bias", "true", "mlp_bias is true, but the formats here have no place for biases.")]
    [InlineData("sliding_window", "4096", "sliding_window is set, which is not supported.")]
    [InlineData("quantization_config", "{}", "quantization_config is set, which is not supported.")]
    [InlineData("rope_scaling", "{\"type\": \"yarn\"}", "rope scaling of the type 'yarn' is not supported, linear and llama3 are.")]
    [InlineData("rope_scaling", "{\"rope_type\": \"llama3\"}", "rope_scaling factor 0 must be at least 1.")]
    [InlineData("rope_scaling", "\"linear\"", "rope_scaling 'linear' is not an object.")]
    [InlineData("rope_scaling", "{\"factor\": 2.0}", "rope scaling has the factor 2.0, but no rope_type that says how.")]
    [InlineData("partial_rotary_factor", "0.5", "partial_rotary_factor 0.5 is not supported: here RoPE turns whole heads.")]
    [InlineData("rope_parameters", "{\"partial_rotary_factor\": 0.25}", "partial_rotary_factor 0.25 is not supported: here RoPE turns whole heads.")]
    [InlineData("head_dim", "128", "head_dim 128 is not hidden_size / num_attention_heads = 4, which is the only one that is supported.")]
    [InlineData("num_attention_heads", "0", "n_heads 0 must be between 1 and 1048576.")]
    [InlineData("num_hidden_layers", "5000000000", "num_hidden_layers '5000000000' is not a whole number.")]
    [InlineData("rms_norm_eps", "\"x\"", "rms_norm_eps 'x' is not a number.")]
    public void Open_ConfigThatIsNotLlama_IsRefusedByWhatDiffers(string field, string value, string message)
    {
        Write();
        Edit("config.json", root => root[field] = JsonNode.Parse(value));
        AssertRefused($"{_folder.File("hf")}/config.json: {message}");
    }

    [Theory]
    [InlineData("rope_scaling", "null", 0)]
    [InlineData("rope_parameters", "{\"rope_type\": \"default\", \"rope_theta\": 500000.0}", 0)]
    [InlineData("rope_parameters", "{\"rope_type\": \"linear\", \"factor\": 2, \"rope_theta\": 500000.0}", 2)]
    [InlineData("rope_scaling", "{\"type\": \"linear\", \"factor\": 4.0}", 4)]
    [InlineData("sliding_window", "null", 0)]
    public void Open_ConfigInOtherWords_IsRead(string field, string value, int factor)
    {
        Write();
        Edit("config.json", root =>
        {
            root.Remove("rope_scaling");
            root[field] = JsonNode.Parse(value);
        });
        using var model = ModelSource.Open(_folder.File("hf"));
        Assert.Equal(Config with { RopeScaling = factor == 0 ? null : new RopeScaling { Kind = RopeScalingKind.Linear, Factor = factor } }, model.Tensors.Config);
    }

    [Theory]
    [InlineData("../secret.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("sub\\\\x")]
    [InlineData("..")]
    [InlineData("")]
    public void Open_IndexThatLeavesTheFolder_IsRefused(string name)
    {
        Write(shardLength: 1);
        Edit("model.safetensors.index.json", root => root["weight_map"]!["model.norm.weight"] = name);
        AssertRefused($"{_folder.File("hf")}/model.safetensors.index.json: '{name}' is not the plain name of a file beside it.");
    }

    [Fact]
    public void Open_WithoutWeights_SaysWhatWasLookedFor()
    {
        Write();
        File.Delete(_folder.File("hf/model.safetensors"));
        var error = Assert.Throws<FileNotFoundException>(() => ModelSource.Open(_folder.File("hf")));
        Assert.Equal($"{_folder.File("hf")}: has no model.safetensors and no pytorch_model.bin, nor an index of shards beside config.json.", error.Message);
    }

    [Fact]
    public void Open_ConfigOfMoreLayersThanThereAre_NamesTheTensor()
    {
        Write();
        Edit("config.json", root => root["num_hidden_layers"] = 3);
        AssertRefused($"{_folder.File("hf")}: the tensor layers.2.attention_norm.weight is missing.");
    }

    [Fact]
    public void Open_ConfigOfFewerLayersThanThereAre_NamesTheTensor()
    {
        Write();
        Edit("config.json", root => root["num_hidden_layers"] = 1);
        AssertRefused($"{_folder.File("hf")}/model.safetensors: has the tensor 'model.layers.1.input_layernorm.weight', which a Llama 2 model of 1 layers does not have.");
    }

    private void Write(long shardLength = HuggingFaceWriter.DefaultShardLength) =>
        HuggingFaceWriter.Write(_folder.File("hf"), new RandomModel(Config, sharedClassifier: true, seed: 4), shardLength: shardLength);

    private void Edit(string name, Action<JsonObject> edit)
    {
        var path = _folder.File($"hf/{name}");
        var root = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        edit(root);
        File.WriteAllText(path, root.ToJsonString(), new UTF8Encoding(false));
    }

    private void AssertRefused(string message)
    {
        var error = Assert.Throws<InvalidDataException>(() => ModelSource.Open(_folder.File("hf")));
        Assert.Equal(message, error.Message);
    }
}
