using LlamaFullstack.Core;

namespace LlamaFullstack.Export.Sources;

/// <summary>Hugging Face's config.json of a Llama model. What the file does not say has the default of transformers' LlamaConfig.</summary>
/// <remarks>A model that differs from Llama 2 in anything that changes its output is refused by what differs, never run as if it did not.</remarks>
internal sealed class HuggingFaceConfig
{
    private readonly ForeignJson _json;

    private HuggingFaceConfig(string path)
    {
        _json = ForeignJson.Read(path);
        Refuse();
        var heads = _json.Number("num_attention_heads", 32);
        // transformers 5 calls it rope_parameters and has rope_theta in it; before that it was rope_scaling.
        var rope = _json.Object("rope_scaling") ?? _json.Object("rope_parameters");
        Model = new LlamaConfig
        {
            Dim = _json.Number("hidden_size", 4096),
            HiddenDim = _json.Number("intermediate_size", 11008),
            NLayers = _json.Number("num_hidden_layers", 32),
            NHeads = heads,
            NKvHeads = _json.Number("num_key_value_heads", heads),
            VocabSize = _json.Number("vocab_size", 32000),
            MaxSeqLen = _json.Number("max_position_embeddings", 2048),
            NormEps = (float)_json.Fraction("rms_norm_eps", 1e-6),
            RopeTheta = (float)(rope?.Find("rope_theta") is null ? _json : rope).Fraction("rope_theta", LlamaConfig.DefaultRopeTheta),
            RopeScaling = rope is null ? null : ReadRopeScaling(rope),
        }.Validated(path);
        if (_json.Number("head_dim", Model.HeadSize) is var headDim && headDim != Model.HeadSize)
            throw _json.Bad($"head_dim {headDim} is not hidden_size / num_attention_heads = {Model.HeadSize}, which is the only one that is supported");
    }

    /// <summary>The model's shape.</summary>
    public LlamaConfig Model { get; }

    /// <summary>Whether the classifier is the embedding.</summary>
    public bool IsTied => _json.Flag("tie_word_embeddings");

    /// <summary>Reads a config.json.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, or describes another kind of model.</exception>
    public static HuggingFaceConfig Read(string path) => new(path);

    private void Refuse()
    {
        // Mistral is Llama but for its window.
        if (_json.Text("model_type") is "")
            throw _json.Bad("has no model_type, so it is not Hugging Face's. The folder of a run is a model once the run has saved a checkpoint");
        if (_json.Text("model_type") is not ("llama" or "mistral"))
            throw _json.Bad($"model_type {PlainText.Quote(_json.Text("model_type"))} is not Llama's architecture");
        if (_json.Text("hidden_act", "silu") is not "silu")
            throw _json.Bad($"hidden_act {PlainText.Quote(_json.Text("hidden_act"))} is not supported, silu is");
        foreach (var bias in (ReadOnlySpan<string>)["attention_bias", "mlp_bias"])
            if (_json.Flag(bias))
                throw _json.Bad($"{bias} is true, but the formats here have no place for biases");
        _json.Refuse("sliding_window", "quantization_config");
        foreach (var json in (ReadOnlySpan<ForeignJson?>)[_json, _json.Object("rope_parameters")])
            if (json?.Fraction("partial_rotary_factor", 1) is not (null or 1))
                throw json.Bad($"partial_rotary_factor {json.Text("partial_rotary_factor")} is not supported: here RoPE turns whole heads");
    }

    private static RopeScaling? ReadRopeScaling(ForeignJson rope) => rope.Text("rope_type", rope.Text("type", "default")) switch
    {
        "default" when rope.Fraction("factor", 1) != 1 => throw rope.Bad($"rope scaling has the factor {rope.Text("factor")}, but no rope_type that says how"),
        "default" => null,
        "linear" => new RopeScaling { Kind = RopeScalingKind.Linear, Factor = (float)rope.Fraction("factor", 0) },
        "llama3" => new RopeScaling
        {
            Kind = RopeScalingKind.Llama3,
            Factor = (float)rope.Fraction("factor", 0),
            LowFreqFactor = (float)rope.Fraction("low_freq_factor", 0),
            HighFreqFactor = (float)rope.Fraction("high_freq_factor", 0),
            OriginalMaxSeqLen = rope.Number("original_max_position_embeddings", 0),
        },
        var type => throw rope.Bad($"rope scaling of the type {PlainText.Quote(type)} is not supported, linear and llama3 are"),
    };
}
