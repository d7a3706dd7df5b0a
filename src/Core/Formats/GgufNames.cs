namespace LlamaFullstack.Core.Formats;

/// <summary>What GGUF calls the parts of a Llama model: tensors and metadata. The one place that knows, for reading and writing.</summary>
/// <remarks>The rows of wq and wk stand in llama2.c's order: llama.cpp rotates neighbours in models of the architecture "llama".</remarks>
public static class GgufNames
{
    /// <summary>The architecture: the name of all Llama models, and the first word of the keys below.</summary>
    public const string Architecture = "llama";

    /// <summary>Says the architecture.</summary>
    public const string ArchitectureKey = "general.architecture";

    /// <summary>max_seq_len.</summary>
    public const string ContextLength = "llama.context_length";

    /// <summary>dim.</summary>
    public const string EmbeddingLength = "llama.embedding_length";

    /// <summary>n_layers.</summary>
    public const string BlockCount = "llama.block_count";

    /// <summary>hidden_dim.</summary>
    public const string FeedForwardLength = "llama.feed_forward_length";

    /// <summary>n_heads.</summary>
    public const string HeadCount = "llama.attention.head_count";

    /// <summary>n_kv_heads; n_heads where it is missing.</summary>
    public const string HeadCountKv = "llama.attention.head_count_kv";

    /// <summary>norm_eps.</summary>
    public const string NormEps = "llama.attention.layer_norm_rms_epsilon";

    /// <summary>rope_theta; 10,000 where it is missing.</summary>
    public const string RopeFreqBase = "llama.rope.freq_base";

    /// <summary>How many values of a head RoPE turns; the whole head where it is missing.</summary>
    public const string RopeDimensionCount = "llama.rope.dimension_count";

    /// <summary>vocab_size; the rows of the embedding where it is missing.</summary>
    public const string VocabSize = "llama.vocab_size";

    /// <summary>A tensor of factors that divide RoPE's frequencies: how Llama 3.1's scaling is written.</summary>
    public const string RopeFreqs = "rope_freqs.weight";

    private static readonly Dictionary<string, string> InLayer = new()
    {
        ["attention_norm.weight"] = "attn_norm.weight",
        ["attention.wq.weight"] = "attn_q.weight",
        ["attention.wk.weight"] = "attn_k.weight",
        ["attention.wv.weight"] = "attn_v.weight",
        ["attention.wo.weight"] = "attn_output.weight",
        ["ffn_norm.weight"] = "ffn_norm.weight",
        ["feed_forward.w1.weight"] = "ffn_gate.weight",
        ["feed_forward.w2.weight"] = "ffn_down.weight",
        ["feed_forward.w3.weight"] = "ffn_up.weight",
    };

    /// <summary>The name there of one of <see cref="TensorNames"/>.</summary>
    public static string Of(string name) => name switch
    {
        TensorNames.TokEmbeddings => "token_embd.weight",
        TensorNames.Norm => "output_norm.weight",
        TensorNames.Output => "output.weight",
        _ => OfLayer(name.Split('.', 3)),
    };

    // layers.N.REST
    private static string OfLayer(string[] parts) => $"blk.{parts[1]}.{InLayer[parts[2]]}";
}
