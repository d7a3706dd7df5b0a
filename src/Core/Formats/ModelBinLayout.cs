namespace LlamaFullstack.Core.Formats;

/// <summary>Where one tensor lies in a model file.</summary>
/// <param name="Tensor">Its name and shape.</param>
/// <param name="Offset">Byte offset of its first value.</param>
/// <param name="Type">How its values are stored.</param>
/// <param name="GroupSize">Values that share a scale; 0 for float32.</param>
public readonly record struct ModelBinSection(TensorShape Tensor, long Offset, WeightType Type, int GroupSize)
{
    /// <summary>Whether the values are integers with scales.</summary>
    public bool IsQuantized => Type != WeightType.Float32;

    /// <summary>Byte offset of the scales; only where <see cref="IsQuantized"/>.</summary>
    public long ScalesOffset => Offset + CodeBytes(Tensor.Length);

    /// <summary>Byte offset of what comes next.</summary>
    public long End => ScalesOffset + ScaleBytes(Tensor.Length);

    /// <summary>Bytes of so many values without their scales.</summary>
    public long CodeBytes(long values) => Type switch
    {
        WeightType.Float32 => values * sizeof(float),
        WeightType.Int8 => values,
        _ => values / 2,
    };

    /// <summary>Bytes of the scales of so many values, which are whole groups.</summary>
    public long ScaleBytes(long values) => Type switch
    {
        WeightType.Float32 => 0,
        WeightType.Int8 => values / GroupSize * sizeof(float),
        _ => values / GroupSize * 2, // float16
    };
}

/// <summary>The order and the offsets of all tensors in a model file: the one place that knows them, for readers and writers alike.</summary>
public sealed class ModelBinLayout
{
    /// <summary>Name of the table of RoPE cosines, (max_seq_len, head_size / 2), in version 0 files. Readers skip it.</summary>
    public const string FreqsCos = "freqs_cos";

    /// <summary>Name of the table of RoPE sines, beside <see cref="FreqsCos"/>.</summary>
    public const string FreqsSin = "freqs_sin";

    private readonly List<ModelBinSection> _sections = [];
    private readonly Dictionary<string, int> _byName = [];
    private readonly WeightType _type;
    private readonly int _groupSize;
    private long _end;

    /// <summary>Lays out a file.</summary>
    public ModelBinLayout(ModelBinHeader header)
    {
        _type = header.Version switch { 2 => WeightType.Int8, 3 => WeightType.Int4, _ => WeightType.Float32 };
        _groupSize = header.GroupSize;
        _end = header.ByteLength;
        if (header.Version == 0)
            AddLegacyOrder(header);
        else
            AddVersionedOrder(header);
    }

    /// <summary>Every section, in the order of the file.</summary>
    public IReadOnlyList<ModelBinSection> Sections => _sections;

    /// <summary>Length of the whole file in bytes.</summary>
    public long FileLength => _end;

    /// <summary>The section of a tensor.</summary>
    /// <exception cref="KeyNotFoundException">The file has no such tensor.</exception>
    public ModelBinSection this[string name] => _sections[_byName[name]];

    /// <summary>Whether the file has a tensor of this name.</summary>
    public bool Contains(string name) => _byName.ContainsKey(name);

    private void AddLegacyOrder(ModelBinHeader header)
    {
        var c = header.Config;
        AddVocabulary(TensorNames.TokEmbeddings, c);
        AddLayers(c, layer => AddVector(TensorNames.AttentionNorm(layer), c.Dim));
        AddAttention(c);
        AddLayers(c, layer => AddVector(TensorNames.FfnNorm(layer), c.Dim));
        AddFeedForward(c);
        AddVector(TensorNames.Norm, c.Dim);
        AddMatrix(FreqsCos, c.MaxSeqLen, c.HeadSize / 2);
        AddMatrix(FreqsSin, c.MaxSeqLen, c.HeadSize / 2);
        if (!header.SharedClassifier)
            AddVocabulary(TensorNames.Output, c);
    }

    private void AddVersionedOrder(ModelBinHeader header)
    {
        var c = header.Config;
        AddLayers(c, layer => AddVector(TensorNames.AttentionNorm(layer), c.Dim));
        AddLayers(c, layer => AddVector(TensorNames.FfnNorm(layer), c.Dim));
        AddVector(TensorNames.Norm, c.Dim);
        AddVocabulary(TensorNames.TokEmbeddings, c);
        AddAttention(c);
        AddFeedForward(c);
        if (!header.SharedClassifier)
            AddVocabulary(TensorNames.Output, c);
    }

    private void AddAttention(LlamaConfig c)
    {
        AddLayers(c, layer => AddMatrix(TensorNames.Wq(layer), c.Dim, c.Dim));
        AddLayers(c, layer => AddMatrix(TensorNames.Wk(layer), c.KvDim, c.Dim));
        AddLayers(c, layer => AddMatrix(TensorNames.Wv(layer), c.KvDim, c.Dim));
        AddLayers(c, layer => AddMatrix(TensorNames.Wo(layer), c.Dim, c.Dim));
    }

    private void AddFeedForward(LlamaConfig c)
    {
        AddLayers(c, layer => AddMatrix(TensorNames.W1(layer), c.HiddenDim, c.Dim));
        AddLayers(c, layer => AddMatrix(TensorNames.W2(layer), c.Dim, c.HiddenDim));
        AddLayers(c, layer => AddMatrix(TensorNames.W3(layer), c.HiddenDim, c.Dim));
    }

    private static void AddLayers(LlamaConfig c, Action<int> add)
    {
        for (var layer = 0; layer < c.NLayers; layer++)
            add(layer);
    }

    private void AddVector(string name, int length) => Add(new TensorShape(name, 0, length), WeightType.Float32);

    private void AddMatrix(string name, int rows, int cols) => Add(new TensorShape(name, rows, cols), _type);

    // 4 bits cost the embedding and the classifier more than any other matrix, and a token reads one row of the embedding: they keep 8.
    private void AddVocabulary(string name, LlamaConfig c) =>
        Add(new TensorShape(name, c.VocabSize, c.Dim), _type == WeightType.Int4 ? WeightType.Int8 : _type);

    private void Add(TensorShape tensor, WeightType type)
    {
        var section = new ModelBinSection(tensor, _end, type, type == WeightType.Float32 ? 0 : _groupSize);
        _byName.Add(tensor.Name, _sections.Count);
        _sections.Add(section);
        _end = section.End;
    }
}
