using LlamaFullstack.Core;

namespace LlamaFullstack.Export.Tests;

/// <summary>Writes small checkpoints as llama2.c's train.py does, with a fault where a test wants one.</summary>
internal sealed class TinyCheckpoint
{
    /// <summary>Groups of 4 fit its rows; hidden_dim is not what llama2.c would choose.</summary>
    public static readonly LlamaConfig Config = new()
    {
        Dim = 8,
        HiddenDim = 12,
        NLayers = 2,
        NHeads = 2,
        NKvHeads = 1,
        VocabSize = 300,
        MaxSeqLen = 16,
    };

    public RandomModel Model { get; } = new(Config, sharedClassifier: false, seed: 1);

    /// <summary>model_args by name; null is None.</summary>
    public Dictionary<string, long?> Args { get; } = new()
    {
        ["dim"] = Config.Dim,
        ["n_layers"] = Config.NLayers,
        ["n_heads"] = Config.NHeads,
        ["n_kv_heads"] = Config.NKvHeads,
        ["vocab_size"] = Config.VocabSize,
        ["max_seq_len"] = Config.MaxSeqLen,
        ["multiple_of"] = 4,
    };

    /// <summary>The tensors under "model": name, values and dimensions.</summary>
    public List<(string Name, float[] Values, long[] Shape)> Tensors { get; } = [];

    public TinyCheckpoint()
    {
        foreach (var tensor in TensorNames.All(Config, sharedClassifier: false))
            Tensors.Add((tensor.Name, Model[tensor.Name], tensor.IsVector ? [tensor.Cols] : [tensor.Rows, tensor.Cols]));
    }

    public void Replace(string name, float[] values, params long[] shape) =>
        Tensors[Tensors.FindIndex(tensor => tensor.Name == name)] = (name, values, shape);

    public byte[] ToArray(string prefix = "")
    {
        var pickle = new Pickle().Dict().Mark().Text("model").Dict().Mark();
        for (var i = 0; i < Tensors.Count; i++)
        {
            var (name, values, shape) = Tensors[i];
            var strides = new long[shape.Length];
            for (var (d, stride) = (shape.Length - 1, 1L); d >= 0; stride *= shape[d--])
                strides[d] = stride;
            pickle.Text(prefix + name).Tensor("FloatStorage", $"{i}", values.Length, 0, shape, strides);
        }
        pickle.SetItems().Text("model_args").Dict().Mark();
        foreach (var (name, value) in Args)
            _ = value is { } number ? pickle.Text(name).Number(number) : pickle.Text(name).Op('N');
        return TorchZip.Save(pickle.SetItems().SetItems().Stop(), [.. Tensors.Select(tensor => tensor.Values)]);
    }
}
