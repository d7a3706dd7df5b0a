namespace LlamaFullstack.Core;

/// <summary>A tensor of the model: its name and its shape.</summary>
/// <param name="Name">The name in checkpoints: llama2.c's and Meta's.</param>
/// <param name="Rows">Output features; 0 for a vector.</param>
/// <param name="Cols">Input features, or the length of a vector.</param>
public readonly record struct TensorShape(string Name, int Rows, int Cols)
{
    /// <summary>Whether this is a norm's weight, of one dimension.</summary>
    public bool IsVector => Rows == 0;

    /// <summary>Its dimensions, as checkpoints store them.</summary>
    public IReadOnlyList<long> Dimensions => IsVector ? [Cols] : [Rows, Cols];

    /// <summary>Number of elements.</summary>
    public long Length => IsVector ? Cols : (long)Rows * Cols;
}

/// <summary>Every tensor's name and shape: the contract of training, export and inference.</summary>
public static class TensorNames
{
    /// <summary>Token embedding, (vocab_size, dim).</summary>
    public const string TokEmbeddings = "tok_embeddings.weight";

    /// <summary>The last RMSNorm, (dim).</summary>
    public const string Norm = "norm.weight";

    /// <summary>Classifier, (vocab_size, dim); the same as <see cref="TokEmbeddings"/> where they are tied.</summary>
    public const string Output = "output.weight";

    /// <summary>RMSNorm before attention, (dim).</summary>
    public static string AttentionNorm(int layer) => $"layers.{layer}.attention_norm.weight";

    /// <summary>Query projection, (dim, dim).</summary>
    public static string Wq(int layer) => $"layers.{layer}.attention.wq.weight";

    /// <summary>Key projection, (kv_dim, dim).</summary>
    public static string Wk(int layer) => $"layers.{layer}.attention.wk.weight";

    /// <summary>Value projection, (kv_dim, dim).</summary>
    public static string Wv(int layer) => $"layers.{layer}.attention.wv.weight";

    /// <summary>Attention's output projection, (dim, dim).</summary>
    public static string Wo(int layer) => $"layers.{layer}.attention.wo.weight";

    /// <summary>RMSNorm before the feed-forward network, (dim).</summary>
    public static string FfnNorm(int layer) => $"layers.{layer}.ffn_norm.weight";

    /// <summary>The gate of SwiGLU, (hidden_dim, dim).</summary>
    public static string W1(int layer) => $"layers.{layer}.feed_forward.w1.weight";

    /// <summary>The down projection, (dim, hidden_dim).</summary>
    public static string W2(int layer) => $"layers.{layer}.feed_forward.w2.weight";

    /// <summary>The up projection, (hidden_dim, dim).</summary>
    public static string W3(int layer) => $"layers.{layer}.feed_forward.w3.weight";

    /// <summary>Every tensor of a model, in the order in which the forward pass meets them.</summary>
    /// <param name="config">The model's shape.</param>
    /// <param name="sharedClassifier">Whether the classifier is the embedding and so not listed by itself.</param>
    public static IEnumerable<TensorShape> All(LlamaConfig config, bool sharedClassifier)
    {
        yield return new(TokEmbeddings, config.VocabSize, config.Dim);
        for (var layer = 0; layer < config.NLayers; layer++)
        {
            yield return new(AttentionNorm(layer), 0, config.Dim);
            yield return new(Wq(layer), config.Dim, config.Dim);
            yield return new(Wk(layer), config.KvDim, config.Dim);
            yield return new(Wv(layer), config.KvDim, config.Dim);
            yield return new(Wo(layer), config.Dim, config.Dim);
            yield return new(FfnNorm(layer), 0, config.Dim);
            yield return new(W1(layer), config.HiddenDim, config.Dim);
            yield return new(W2(layer), config.Dim, config.HiddenDim);
            yield return new(W3(layer), config.HiddenDim, config.Dim);
        }
        yield return new(Norm, 0, config.Dim);
        if (!sharedClassifier)
            yield return new(Output, config.VocabSize, config.Dim);
    }
}
