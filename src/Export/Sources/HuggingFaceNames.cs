using LlamaFullstack.Core;

namespace LlamaFullstack.Export.Sources;

/// <summary>How Hugging Face's transformers names and orders the weights of a Llama model. The one place that knows, for reading and writing.</summary>
internal static class HuggingFaceNames
{
    /// <summary>The classifier, which a tied model lacks.</summary>
    public const string Classifier = "lm_head.weight";

    private static readonly Dictionary<string, string> InLayer = new()
    {
        ["attention_norm.weight"] = "input_layernorm.weight",
        ["attention.wq.weight"] = "self_attn.q_proj.weight",
        ["attention.wk.weight"] = "self_attn.k_proj.weight",
        ["attention.wv.weight"] = "self_attn.v_proj.weight",
        ["attention.wo.weight"] = "self_attn.o_proj.weight",
        ["ffn_norm.weight"] = "post_attention_layernorm.weight",
        ["feed_forward.w1.weight"] = "mlp.gate_proj.weight",
        ["feed_forward.w2.weight"] = "mlp.down_proj.weight",
        ["feed_forward.w3.weight"] = "mlp.up_proj.weight",
    };

    /// <summary>The name there of one of <see cref="TensorNames"/>.</summary>
    public static string Of(string name) => name switch
    {
        TensorNames.TokEmbeddings => "model.embed_tokens.weight",
        TensorNames.Norm => "model.norm.weight",
        TensorNames.Output => Classifier,
        _ => OfLayer(name.Split('.', 3)),
    };

    /// <summary>Whether the rows of a tensor stand in another order there: those of the query and key projections.</summary>
    public static bool IsPermuted(string name) =>
        name.EndsWith(".wq.weight", StringComparison.Ordinal) || name.EndsWith(".wk.weight", StringComparison.Ordinal);

    /// <summary>Where one of Llama's rows of such a projection stands there.</summary>
    /// <param name="row">Its number in Llama's order.</param>
    /// <param name="headSize">Rows of one head.</param>
    /// <remarks>
    /// RoPE rotates pairs of rows. Llama's pairs are neighbours, (0, 1), (2, 3), …; those of transformers lie half a head apart, (0, hs/2),
    /// (1, hs/2 + 1), …: its row j·hs/2 + i is Llama's row 2·i + j.
    /// </remarks>
    public static int TheirRow(int row, int headSize)
    {
        var (head, inHead) = Math.DivRem(row, headSize);
        var (i, j) = Math.DivRem(inHead, 2);
        return head * headSize + j * headSize / 2 + i;
    }

    /// <summary>The inverse of <see cref="TheirRow"/>.</summary>
    public static int LlamaRow(int row, int headSize)
    {
        var (head, inHead) = Math.DivRem(row, headSize);
        var (j, i) = Math.DivRem(inHead, headSize / 2);
        return head * headSize + 2 * i + j;
    }

    // layers.N.REST
    private static string OfLayer(string[] parts) => $"model.layers.{parts[1]}.{InLayer[parts[2]]}";
}
