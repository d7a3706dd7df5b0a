namespace LlamaFullstack.Core.Formats;

/// <summary>A Llama model in a GGUF file: its shape, its weights as float32 for whoever asks, and its tokenizer where it has one.</summary>
/// <remarks>
/// A model that differs from Llama 2 in anything that changes its output is refused by what differs. The engine takes its own views of the
/// tensors, from <see cref="File"/> and <see cref="Tensor"/>.
/// </remarks>
public sealed class GgufModel : ITensorSource, IDisposable
{
    // What would change the output of a model of this architecture, by its key, and the values that change nothing.
    private static readonly (string Key, float Harmless)[] Unsupported =
    [
        ("llama.expert_count", 0), ("llama.attention.sliding_window", 0), ("llama.attention.clamp_kqv", 0),
        ("llama.rope.scale_linear", 1), ("llama.logit_scale", 1), ("llama.embedding_scale", 1), ("llama.residual_scale", 1), ("llama.attention.scale", 0),
    ];

    private readonly Dictionary<string, GgufTensor> _tensors = new(StringComparer.Ordinal);

    private GgufModel(GgufFile file)
    {
        File = file;
        Refuse();
        Config = ReadConfig();
        SharedClassifier = IsShared();
        TensorCheck.Shapes(file.Map.Path, Config, SharedClassifier, name => file.Find(GgufNames.Of(name))?.Shape);
        foreach (var tensor in TensorNames.All(Config, SharedClassifier))
            _tensors.Add(tensor.Name, file.Find(GgufNames.Of(tensor.Name))!);
        TensorCheck.Names(Config, file.Tensors.Select(tensor => (tensor.Name, file.Map.Path)), GgufNames.Of, name => name == GgufNames.RopeFreqs);
    }

    /// <summary>The file.</summary>
    public GgufFile File { get; }

    /// <inheritdoc/>
    public LlamaConfig Config { get; }

    /// <inheritdoc/>
    /// <remarks>Also where the file holds the embedding twice: a classifier with the same bytes is the embedding.</remarks>
    public bool SharedClassifier { get; }

    /// <summary>Maps a file and checks that it is a Llama model with every tensor in its right shape.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged or hostile, or the model is not Llama's architecture.</exception>
    public static GgufModel Open(string path)
    {
        var file = GgufFile.Open(path);
        try
        {
            return new GgufModel(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Where a tensor lies.</summary>
    /// <param name="name">One of <see cref="TensorNames"/>; the classifier of a tied model is its embedding.</param>
    public GgufTensor Tensor(string name) => _tensors[this.NameHeld(name)];

    /// <inheritdoc/>
    public void Read(string name, long start, Span<float> destination) => File.Read(Tensor(name), start, destination);

    /// <inheritdoc/>
    public TensorStorage StorageOf(string name) => new(Tensor(name).Type.Name, Tensor(name).ByteLength);

    /// <summary>Unmaps the file.</summary>
    public void Dispose() => File.Dispose();

    private void Refuse()
    {
        var metadata = File.Metadata;
        if (metadata.Text(GgufNames.ArchitectureKey) is var architecture && architecture != GgufNames.Architecture)
            throw Bad($"{GgufNames.ArchitectureKey} is {PlainText.Quote(architecture ?? "")}, but {PlainText.Quote(GgufNames.Architecture)} is the only one that is supported");
        foreach (var (key, harmless) in Unsupported)
            if (metadata.Fraction(key) is { } value && value != harmless)
                throw Bad($"{key} is {value}, which is not supported");
        if (metadata.Flag("llama.attention.causal") == false)
            throw Bad("llama.attention.causal is false: not a model that tells what comes next");
        if (metadata.Text(GgufRope.ScalingType) is { } scaling and not ("none" or GgufRope.Linear))
            throw Bad($"{GgufRope.ScalingType} {PlainText.Quote(scaling)} is not supported");
    }

    private LlamaConfig ReadConfig()
    {
        var metadata = File.Metadata;
        var embedding = File.Find(GgufNames.Of(TensorNames.TokEmbeddings)) ?? throw Bad($"the tensor {GgufNames.Of(TensorNames.TokEmbeddings)} is missing");
        var heads = Needed(GgufNames.HeadCount);
        var config = new LlamaConfig
        {
            Dim = Needed(GgufNames.EmbeddingLength),
            HiddenDim = Needed(GgufNames.FeedForwardLength),
            NLayers = Needed(GgufNames.BlockCount),
            NHeads = heads,
            NKvHeads = metadata.Whole(GgufNames.HeadCountKv) ?? heads,
            VocabSize = metadata.Whole(GgufNames.VocabSize) ?? (int)Math.Min(embedding.Shape[0], int.MaxValue),
            MaxSeqLen = Needed(GgufNames.ContextLength),
            NormEps = metadata.Fraction(GgufNames.NormEps) ?? throw Bad($"has no {GgufNames.NormEps}"),
            RopeTheta = metadata.Fraction(GgufNames.RopeFreqBase) ?? LlamaConfig.DefaultRopeTheta,
        }.Validated(File.Map.Path);
        foreach (var key in (ReadOnlySpan<string>)[GgufNames.RopeDimensionCount, "llama.attention.key_length", "llama.attention.value_length"])
            if (metadata.Whole(key) is { } width && width != config.HeadSize)
                throw Bad($"{key} {width} is not embedding_length / head_count = {config.HeadSize}, which is the only one that is supported");
        return config with { RopeScaling = ReadRopeScaling(config) };
    }

    private RopeScaling? ReadRopeScaling(LlamaConfig config)
    {
        if (File.Metadata.Text(GgufRope.ScalingType) == GgufRope.Linear)
        {
            var linear = new RopeScaling { Kind = RopeScalingKind.Linear, Factor = File.Metadata.Fraction(GgufRope.ScalingFactor) ?? throw Bad($"has no {GgufRope.ScalingFactor}") };
            return linear.FindProblem() is { } problem ? throw Bad(problem) : linear;
        }
        if (File.Find(GgufNames.RopeFreqs) is not { } tensor)
            return null;
        if (tensor.Type != GgufType.F32 || tensor.Shape.Count != 1 || tensor.Shape[0] != config.HeadSize / 2)
            throw Bad($"{tensor.Name} must be {config.HeadSize / 2} values of F32, one for each pair of a head");
        var factors = new float[config.HeadSize / 2];
        File.Read(tensor, 0, factors);
        return GgufRope.Find(config, File.Metadata, factors) is { } scaling ? scaling
            : factors.All(factor => factor == 1) ? null
            : throw Bad($"{tensor.Name} scales RoPE in another way than Llama 3.1 and 3.2 do, which is not supported");
    }

    private int Needed(string key) => File.Metadata.Whole(key) ?? throw Bad($"has no {key}");

    private bool IsShared()
    {
        if (File.Find(GgufNames.Of(TensorNames.Output)) is not { } output)
            return true;
        var embedding = File.Find(GgufNames.Of(TensorNames.TokEmbeddings))!;
        if (output.Type != embedding.Type || output.ByteLength != embedding.ByteLength)
            return false;
        const int Part = 1 << 20;
        for (var start = 0L; start < output.ByteLength; start += Part)
        {
            var length = (int)Math.Min(Part, output.ByteLength - start);
            if (!File.Map.Span(output.Offset + start, length).SequenceEqual(File.Map.Span(embedding.Offset + start, length)))
                return false;
        }
        return true;
    }

    private InvalidDataException Bad(string problem) => new($"{File.Map.Path}: {problem}.");
}
