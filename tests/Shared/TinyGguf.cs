using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Tests;

/// <summary>The smallest sound GGUF model of Llama's architecture, with a tokenizer; tests spoil one thing in it.</summary>
internal static class TinyGguf
{
    public static readonly LlamaConfig Config = new() { Dim = 32, HiddenDim = 64, NLayers = 1, NHeads = 4, NKvHeads = 2, VocabSize = 260, MaxSeqLen = 16 };

    public static RandomModel Weights => new(Config, sharedClassifier: false, seed: 5);

    /// <summary>The model, its matrices in one type.</summary>
    public static GgufBytes Build(GgufType? type = null)
    {
        var weights = Weights;
        var file = new GgufBytes()
            .Set("general.architecture", "llama")
            .Set("llama.context_length", 16u).Set("llama.embedding_length", 32u).Set("llama.block_count", 1u).Set("llama.feed_forward_length", 64u)
            .Set("llama.attention.head_count", 4u).Set("llama.attention.head_count_kv", 2u).Set("llama.rope.dimension_count", 8u)
            .Set("llama.attention.layer_norm_rms_epsilon", 1e-5f)
            .Set("tokenizer.ggml.model", "llama")
            .Set("tokenizer.ggml.tokens", GgufBytes.Array, GgufBytes.ArrayValue(GgufBytes.Text, [.. Pieces().Select(GgufBytes.TextValue)]))
            .Set("tokenizer.ggml.scores", GgufBytes.Array, GgufBytes.ArrayValue(GgufBytes.F32, [.. Pieces().Select((_, id) => BitConverter.GetBytes(id < 259 ? 0f : -1f))]))
            .Set("tokenizer.ggml.token_type", GgufBytes.Array, GgufBytes.ArrayValue(GgufBytes.I32, [.. Pieces().Select((_, id) => BitConverter.GetBytes(id == 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1))]));
        foreach (var tensor in TensorNames.All(Config, sharedClassifier: false))
        {
            var held = tensor.IsVector ? GgufType.F32 : type ?? GgufType.F32;
            var values = weights[tensor.Name];
            var bytes = new byte[held.BytesOf(values.Length)];
            Assert.True(held.TryWrite(values, bytes));
            file.Add(GgufNames.Of(tensor.Name), tensor.IsVector ? [(ulong)tensor.Cols] : [(ulong)tensor.Cols, (ulong)tensor.Rows], held.Code, bytes);
        }
        return file;
    }

    private static IEnumerable<string> Pieces() =>
        ["<unk>", "<s>", "</s>", .. Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>"), "\u2581a"];
}
