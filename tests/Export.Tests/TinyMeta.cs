using LlamaFullstack.Core;

namespace LlamaFullstack.Export.Tests;

/// <summary>Writes small folders as Meta publishes its models: each matrix cut into as many slices as there are files.</summary>
internal static class TinyMeta
{
    /// <summary>Dimensions that four files divide, one key head each.</summary>
    public static readonly LlamaConfig Config = new() { Dim = 16, HiddenDim = 48, NLayers = 2, NHeads = 4, NKvHeads = 4, VocabSize = 300, MaxSeqLen = 2048 };

    /// <summary>8/3 · 16 = 42, rounded up to a multiple of 16.</summary>
    public const string Params = """{"dim": 16, "multiple_of": 16, "n_heads": 4, "n_layers": 2, "norm_eps": 1e-05, "vocab_size": -1}""";

    public static void Write(TempFolder folder, RandomModel model, int shards, string parameters = Params, bool embeddingByRows = false)
    {
        folder.Write("meta/params.json", System.Text.Encoding.UTF8.GetBytes(parameters));
        for (var shard = 0; shard < shards; shard++)
            folder.Write($"meta/consolidated.{shard:00}.pth", Shard(model, shard, shards, embeddingByRows));
    }

    /// <summary>One file: slices by columns of wo, w2 and the embedding, by rows of other matrices; norms whole.</summary>
    public static byte[] Shard(RandomModel model, int shard, int shards, bool embeddingByRows = false)
    {
        var pickle = new Pickle().Dict().Mark();
        var storages = new List<float[]>();
        void Add(string name, float[] values, params long[] shape)
        {
            pickle.Text(name).Tensor("FloatStorage", $"{storages.Count}", values.Length, 0, shape, shape.Length == 1 ? [1] : [shape[1], 1]);
            storages.Add(values);
        }
        foreach (var tensor in TensorNames.All(model.Config, model.SharedClassifier))
        {
            var values = model[tensor.Name];
            var byColumns = tensor.Name.Contains(".wo.") || tensor.Name.Contains(".w2.") || (tensor.Name == TensorNames.TokEmbeddings && !embeddingByRows);
            if (tensor.IsVector)
                Add(tensor.Name, values, tensor.Cols);
            else if (byColumns)
                Add(tensor.Name, [.. values.Where((_, i) => i % tensor.Cols / (tensor.Cols / shards) == shard)], tensor.Rows, tensor.Cols / shards);
            else
                Add(tensor.Name, values[(values.Length / shards * shard)..(values.Length / shards * (shard + 1))], tensor.Rows / shards, tensor.Cols);
        }
        Add("rope.freqs", [1, 0.1f], 2);
        return TorchZip.Save(pickle.SetItems().Stop(), [.. storages]);
    }
}
