using System.Text.Json;
using LlamaFullstack.Core;

namespace LlamaFullstack.Export.Sources;

/// <summary>Hugging Face's config.json of a Llama model. What the file does not say has the default of transformers' LlamaConfig.</summary>
/// <remarks>A model that differs from Llama 2 in anything that changes its output is refused by what differs, never run as if it did not.</remarks>
internal sealed class HuggingFaceConfig
{
    // The file of a real model has 1 KB.
    private const long MaxLength = 1 << 20;

    private readonly string _path;
    private readonly JsonElement _root;

    private HuggingFaceConfig(string path, JsonElement root)
    {
        (_path, _root) = (path, root);
        Refuse();
        var heads = Number("num_attention_heads", 32);
        Model = new LlamaConfig
        {
            Dim = Number("hidden_size", 4096),
            HiddenDim = Number("intermediate_size", 11008),
            NLayers = Number("num_hidden_layers", 32),
            NHeads = heads,
            NKvHeads = Number("num_key_value_heads", heads),
            VocabSize = Number("vocab_size", 32000),
            MaxSeqLen = Number("max_position_embeddings", 2048),
            NormEps = Fraction(_root, "rms_norm_eps", 1e-6f),
            RopeTheta = Fraction(FindRope() is { } rope && rope.TryGetProperty("rope_theta", out _) ? rope : _root, "rope_theta", LlamaConfig.DefaultRopeTheta),
            RopeScaling = ReadRopeScaling(),
        }.Validated(path);
        if (Number("head_dim", Model.HeadSize) is var headDim && headDim != Model.HeadSize)
            throw Bad($"head_dim {headDim} is not hidden_size / num_attention_heads = {Model.HeadSize}, which is the only one that is supported");
    }

    /// <summary>The model's shape.</summary>
    public LlamaConfig Model { get; }

    /// <summary>Whether the classifier is the embedding.</summary>
    public bool IsTied => Find("tie_word_embeddings") is { ValueKind: JsonValueKind.True };

    /// <summary>Reads a config.json.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, or describes another kind of model.</exception>
    public static HuggingFaceConfig Read(string path)
    {
        using var document = ReadJson(path, MaxLength);
        return new HuggingFaceConfig(path, document.RootElement.Clone());
    }

    /// <summary>Reads a JSON file whose root is an object.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is too long, or not JSON.</exception>
    public static JsonDocument ReadJson(string path, long maxLength)
    {
        using var stream = File.OpenRead(path);
        if (stream.Length > maxLength)
            throw new InvalidDataException($"{path}: {stream.Length:N0} bytes long, expected at most {maxLength:N0}.");
        try
        {
            var document = JsonDocument.Parse(stream);
            return document.RootElement.ValueKind == JsonValueKind.Object ? document : throw new JsonException("not an object");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: not the JSON that was expected: {e.Message.Split('\n')[0].TrimEnd('.')}.");
        }
    }

    private void Refuse()
    {
        // Mistral is Llama but for its window.
        if (Text("model_type") is not ("llama" or "mistral"))
            throw Bad($"model_type {PlainText.Quote(Text("model_type"))} is not Llama's architecture");
        if (Text("hidden_act", "silu") is not "silu")
            throw Bad($"hidden_act {PlainText.Quote(Text("hidden_act"))} is not supported, silu is");
        foreach (var bias in (ReadOnlySpan<string>)["attention_bias", "mlp_bias"])
            if (Find(bias) is { ValueKind: JsonValueKind.True })
                throw Bad($"{bias} is true, but the formats here have no place for biases");
        foreach (var unknown in (ReadOnlySpan<string>)["sliding_window", "quantization_config"])
            if (Find(unknown) is not null)
                throw Bad($"{unknown} is set, which is not supported");
    }

    // transformers 5 calls it rope_parameters and has rope_theta in it, before that it was rope_scaling.
    private JsonElement? FindRope() => (Find("rope_scaling") ?? Find("rope_parameters")) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Object } rope => rope,
        { } other => throw Bad($"rope_scaling {PlainText.Quote(other.ToString())} is not an object"),
    };

    private RopeScaling? ReadRopeScaling()
    {
        if (FindRope() is not { } rope)
            return null;
        var type = rope.TryGetProperty("rope_type", out var name) || rope.TryGetProperty("type", out name) ? name.ToString() : "default";
        return type switch
        {
            "default" => null,
            "linear" => new RopeScaling { Kind = RopeScalingKind.Linear, Factor = Fraction(rope, "factor", 0) },
            "llama3" => new RopeScaling
            {
                Kind = RopeScalingKind.Llama3,
                Factor = Fraction(rope, "factor", 0),
                LowFreqFactor = Fraction(rope, "low_freq_factor", 0),
                HighFreqFactor = Fraction(rope, "high_freq_factor", 0),
                OriginalMaxSeqLen = Number(rope, "original_max_position_embeddings", 0),
            },
            _ => throw Bad($"rope scaling of the type {PlainText.Quote(type)} is not supported, linear and llama3 are"),
        };
    }

    // Null where the file has none, or has null.
    private JsonElement? Find(string name) =>
        _root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private string Text(string name, string missing = "") => Find(name)?.ToString() ?? missing;

    private int Number(string name, int missing) => Number(_root, name, missing);

    private int Number(JsonElement parent, string name, int missing)
    {
        if (!parent.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
            return missing;
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number)
            ? number : throw Bad($"{name} {PlainText.Quote(value.ToString())} is not a whole number");
    }

    private float Fraction(JsonElement parent, string name, float missing)
    {
        if (!parent.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
            return missing;
        return value.ValueKind == JsonValueKind.Number ? value.GetSingle() : throw Bad($"{name} {PlainText.Quote(value.ToString())} is not a number");
    }

    private InvalidDataException Bad(string problem) => new($"{_path}: {problem}.");
}
