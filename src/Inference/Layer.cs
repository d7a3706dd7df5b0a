namespace LlamaFullstack.Inference;

/// <summary>The weights of one transformer block.</summary>
internal sealed unsafe class Layer(
    float* attentionNorm, WeightMatrix wq, WeightMatrix wk, WeightMatrix wv, WeightMatrix wo,
    float* ffnNorm, WeightMatrix w1, WeightMatrix w2, WeightMatrix w3)
{
    /// <summary>(dim).</summary>
    public float* AttentionNorm { get; } = attentionNorm;

    /// <summary>(dim, dim).</summary>
    public WeightMatrix Wq { get; } = wq;

    /// <summary>(kv_dim, dim).</summary>
    public WeightMatrix Wk { get; } = wk;

    /// <summary>(kv_dim, dim).</summary>
    public WeightMatrix Wv { get; } = wv;

    /// <summary>(dim, dim).</summary>
    public WeightMatrix Wo { get; } = wo;

    /// <summary>(dim).</summary>
    public float* FfnNorm { get; } = ffnNorm;

    /// <summary>The gate, (hidden_dim, dim).</summary>
    public WeightMatrix W1 { get; } = w1;

    /// <summary>Down, (dim, hidden_dim).</summary>
    public WeightMatrix W2 { get; } = w2;

    /// <summary>Up, (hidden_dim, dim).</summary>
    public WeightMatrix W3 { get; } = w3;

    /// <summary>Bytes of weights that queries, keys and values take.</summary>
    public long QkvBytes => Wq.Bytes + Wk.Bytes + Wv.Bytes;

    /// <summary>Bytes of weights that the feed-forward's hidden state takes.</summary>
    public long GateBytes => W1.Bytes + W3.Bytes;
}
