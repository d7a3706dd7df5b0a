using System.Text.Json.Serialization;

namespace LlamaFullstack.Core;

/// <summary>The shape of a Llama 2 model. The one description that training, export and inference share.</summary>
/// <remarks>JSON names are llama2.c's own (<c>model_args</c> of its checkpoints), so that a file reads as the paper does.</remarks>
public sealed record LlamaConfig
{
    /// <summary>RoPE's base frequency in Llama 2 and in llama2.c.</summary>
    public const float DefaultRopeTheta = 10000f;

    /// <summary>RMSNorm's epsilon in llama2.c.</summary>
    public const float DefaultNormEps = 1e-5f;

    // Bounds far above any real model (Llama 3 405B: dim 16384, 126 layers, vocabulary 128256). Inside them every size in
    // bytes fits a 64-bit integer with room to spare, so a hostile header cannot overflow a product.
    private const int MaxWidth = 1 << 20;
    private const int MaxLayers = 1 << 12;
    private const int MaxVocabSize = 1 << 24;
    private const int MaxPositions = 1 << 24;

    /// <summary>Width of the residual stream.</summary>
    [JsonPropertyName("dim")]
    public required int Dim { get; init; }

    /// <summary>Width inside the feed-forward network; see <see cref="DefaultHiddenDim"/>.</summary>
    [JsonPropertyName("hidden_dim")]
    public required int HiddenDim { get; init; }

    /// <summary>Number of transformer blocks.</summary>
    [JsonPropertyName("n_layers")]
    public required int NLayers { get; init; }

    /// <summary>Number of query heads.</summary>
    [JsonPropertyName("n_heads")]
    public required int NHeads { get; init; }

    /// <summary>Number of key and value heads; fewer than <see cref="NHeads"/> is grouped-query attention.</summary>
    [JsonPropertyName("n_kv_heads")]
    public required int NKvHeads { get; init; }

    /// <summary>Number of token ids.</summary>
    [JsonPropertyName("vocab_size")]
    public required int VocabSize { get; init; }

    /// <summary>Longest sequence that the model was made for, in tokens.</summary>
    [JsonPropertyName("max_seq_len")]
    public required int MaxSeqLen { get; init; }

    /// <summary>RoPE's base frequency.</summary>
    [JsonPropertyName("rope_theta")]
    public float RopeTheta { get; init; } = DefaultRopeTheta;

    /// <summary>RMSNorm's epsilon.</summary>
    [JsonPropertyName("norm_eps")]
    public float NormEps { get; init; } = DefaultNormEps;

    /// <summary>How RoPE's frequencies were changed for longer texts; null where they were not, as in llama2.c.</summary>
    [JsonPropertyName("rope_scaling")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public RopeScaling? RopeScaling { get; init; }

    /// <summary>Width of one head: dim / n_heads.</summary>
    [JsonIgnore]
    public int HeadSize => Dim / NHeads;

    /// <summary>Width of all keys (or values) of one position: head_size · n_kv_heads.</summary>
    [JsonIgnore]
    public int KvDim => HeadSize * NKvHeads;

    /// <summary>What of RoPE is not llama2.c's, for formats that have no field for it: "rope_theta 1000000"; null where nothing is.</summary>
    [JsonIgnore]
    public string? ForeignRope => RopeTheta != DefaultRopeTheta ? $"rope_theta {RopeTheta}" : RopeScaling is null ? null : "rope_scaling";

    /// <summary>Number of distinct parameters when the classifier shares the embedding.</summary>
    [JsonIgnore]
    public long ParameterCount => TensorNames.All(this, sharedClassifier: true).Sum(tensor => tensor.Length);

    /// <summary>Llama's feed-forward width: 2/3 of 4·dim, rounded up to a multiple of <paramref name="multipleOf"/>.</summary>
    public static int DefaultHiddenDim(int dim, int multipleOf)
    {
        var twoThirds = checked(2 * 4 * dim) / 3;
        return multipleOf * ((twoThirds + multipleOf - 1) / multipleOf);
    }

    /// <summary>The first thing that makes this shape impossible, as "name value must …"; null if it is sound.</summary>
    public string? FindProblem()
    {
        return OutOfRange("dim", Dim, MaxWidth)
            ?? OutOfRange("hidden_dim", HiddenDim, MaxWidth)
            ?? OutOfRange("n_layers", NLayers, MaxLayers)
            ?? OutOfRange("n_heads", NHeads, MaxWidth)
            ?? OutOfRange("n_kv_heads", NKvHeads, MaxWidth)
            ?? OutOfRange("vocab_size", VocabSize, MaxVocabSize)
            ?? OutOfRange("max_seq_len", MaxSeqLen, MaxPositions)
            ?? (Dim % NHeads != 0 ? $"n_heads {NHeads} must divide dim {Dim}" : null)
            ?? (NHeads % NKvHeads != 0 ? $"n_kv_heads {NKvHeads} must divide n_heads {NHeads}" : null)
            ?? (HeadSize % 2 != 0 ? $"head size {HeadSize} (dim {Dim} / n_heads {NHeads}) must be even, since RoPE rotates pairs" : null)
            ?? (!(float.IsFinite(RopeTheta) && RopeTheta > 0) ? $"rope_theta {RopeTheta} must be a positive number" : null)
            ?? (!(float.IsFinite(NormEps) && NormEps > 0) ? $"norm_eps {NormEps} must be a positive number" : null)
            ?? RopeScaling?.FindProblem();
    }

    /// <summary>Throws unless the shape is sound.</summary>
    /// <param name="where">The file or the option that the shape came from; begins the message.</param>
    /// <exception cref="InvalidDataException">The shape is impossible.</exception>
    public LlamaConfig Validated(string where) =>
        FindProblem() is { } problem ? throw new InvalidDataException($"{where}: {problem}.") : this;

    private static string? OutOfRange(string name, int value, int max) =>
        value is < 1 || value > max ? $"{name} {value} must be between 1 and {max}" : null;
}
