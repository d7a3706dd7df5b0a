using System.Buffers;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export.Sources;

/// <summary>A Llama model as Meta publishes it: params.json, and the weights in consolidated.00.pth, consolidated.01.pth, …, each a slice of every matrix.</summary>
/// <remarks>
/// Meta's model-parallel layers cut a matrix along its rows (wq, wk, wv, w1, w3, output) or its columns (wo, w2, and in Llama 1 and 2 the
/// embedding); a norm stands whole in every file. Knows nothing of tokenizers.
/// </remarks>
public sealed class MetaFolder : ITensorSource, IDisposable
{
    /// <summary>The file that makes a folder one of Meta's.</summary>
    public const string ParamsName = "params.json";

    // params.json does not tell the context; this is what llama2.c's export.py takes. Keys and values of 7B then need 2 GB, not Code Llama's 16.
    private const int DefaultMaxSeqLen = 2048;

    // Llama 3 405B comes in 16.
    private const int MaxShards = 1024;

    private readonly string _path;
    private readonly List<TorchFile> _shards;
    private readonly List<Dictionary<string, TorchTensor>> _tensors;

    private MetaFolder(string path, List<TorchFile> shards)
    {
        (_path, _shards) = (path, shards);
        _tensors = [.. shards.Select(CollectTensors)];
        Config = ReadConfig();
        SharedClassifier = !_tensors[0].ContainsKey(TensorNames.Output);
        TensorCheck.Shapes(path, Config, SharedClassifier, WholeShape);
        TensorCheck.Names(Config, _tensors.Zip(_shards, (tensors, file) => tensors.Keys.Select(name => (name, file.Path))).SelectMany(names => names), name => name, name => name is "rope.freqs");
    }

    /// <inheritdoc/>
    public LlamaConfig Config { get; }

    /// <inheritdoc/>
    public bool SharedClassifier { get; }

    /// <summary>Whether a path is a folder of this kind.</summary>
    public static bool Recognises(string path) => InputFile.Exists(Path.Combine(path, ParamsName));

    /// <summary>Opens a folder and checks that its files together have every tensor in its right shape.</summary>
    /// <exception cref="IOException">A file is missing or cannot be read.</exception>
    /// <exception cref="InvalidDataException">A file is damaged or hostile, or the model is not Llama's architecture.</exception>
    public static MetaFolder Open(string path)
    {
        var shards = new List<TorchFile>();
        try
        {
            foreach (var name in FindShards(path))
                shards.Add(TorchFile.Open(name));
            return new MetaFolder(path, shards);
        }
        catch
        {
            shards.ForEach(shard => shard.Dispose());
            throw;
        }
    }

    /// <inheritdoc/>
    public void Read(string name, long start, Span<float> destination)
    {
        var stored = this.NameHeld(name);
        if (_tensors[0][stored].Shape.Count == 1)
            _shards[0].Read(_tensors[0][stored], destination);
        else if (IsCutByColumns(stored))
            ReadColumns(stored, start, destination);
        else
            ReadRows(stored, start, destination);
    }

    /// <inheritdoc/>
    public TensorStorage StorageOf(string name)
    {
        var slices = _tensors.Select(tensors => tensors[this.NameHeld(name)].Held).ToList();
        return slices[0] with { Bytes = slices.Sum(slice => slice.Bytes) };
    }

    /// <summary>Closes the files.</summary>
    public void Dispose() => _shards.ForEach(shard => shard.Dispose());

    // consolidated.00.pth, consolidated.01.pth, … without a gap.
    private static List<string> FindShards(string folder)
    {
        static string NameOf(int shard) => $"consolidated.{shard:00}.pth";
        var names = Directory.GetFiles(folder, "consolidated.*.pth").Select(path => Path.GetFileName(path)!).ToHashSet(StringComparer.Ordinal);
        if (names.Count == 0)
            throw new FileNotFoundException($"{folder}: has {ParamsName}, but no {NameOf(0)} beside it.");
        if (names.Count > MaxShards)
            throw new InvalidDataException($"{folder}: has {names.Count:N0} files consolidated.*.pth, expected at most {MaxShards:N0}.");
        for (var shard = 0; shard < names.Count; shard++)
            if (!names.Contains(NameOf(shard)))
                throw new InvalidDataException($"{folder}: has {names.Count} files consolidated.*.pth, but no {NameOf(shard)}: a part of the model is missing.");
        return [.. Enumerable.Range(0, names.Count).Select(shard => Path.Combine(folder, NameOf(shard)))];
    }

    private static Dictionary<string, TorchTensor> CollectTensors(TorchFile file)
    {
        if (file.Root is not PickleDict root)
            throw new InvalidDataException($"{file.Path}: not a dictionary of tensors, as Meta's weights are.");
        var tensors = new Dictionary<string, TorchTensor>(StringComparer.Ordinal);
        foreach (var (name, value) in root)
            tensors.Add(name, value as TorchTensor ?? throw new InvalidDataException($"{file.Path}: {PlainText.Quote(name)} is not a tensor."));
        return tensors;
    }

    private LlamaConfig ReadConfig()
    {
        var path = Path.Combine(_path, ParamsName);
        var json = ForeignJson.Read(path);
        json.Refuse("moe_args", "vision_args", "vision_chunk_size", "use_qk_norm", "lora_args", "quantization_args");
        var (dim, heads) = (json.Number("dim"), json.Number("n_heads"));
        var vocabSize = json.Number("vocab_size", -1);
        return new LlamaConfig
        {
            Dim = dim,
            HiddenDim = ReadHiddenDim(json, dim),
            NLayers = json.Number("n_layers"),
            NHeads = heads,
            NKvHeads = json.Number("n_kv_heads", heads),
            VocabSize = vocabSize == -1 ? Rows(TensorNames.TokEmbeddings, dim) : vocabSize,
            MaxSeqLen = json.Number("max_seq_len", DefaultMaxSeqLen),
            NormEps = (float)json.Fraction("norm_eps", LlamaConfig.DefaultNormEps),
            RopeTheta = (float)json.Fraction("rope_theta", LlamaConfig.DefaultRopeTheta),
            // The constants are those of Meta's code for Llama 3.1.
            RopeScaling = !json.Flag("use_scaled_rope") ? null : new RopeScaling
            {
                Kind = RopeScalingKind.Llama3,
                Factor = (float)json.Fraction("rope_scaling_factor", 8),
                LowFreqFactor = 1,
                HighFreqFactor = (float)json.Fraction("high_freq_factor", 4),
                OriginalMaxSeqLen = 8192,
            },
        }.Validated(path);
    }

    // int(int(8/3 · dim) · ffn_dim_multiplier), rounded up to a multiple of multiple_of.
    private int ReadHiddenDim(ForeignJson json, int dim)
    {
        if (json.Number("hidden_dim", 0) is var given and not 0)
            return given;
        if (json.Number("multiple_of", 0) is not (var multipleOf and > 0))
            return Rows(TensorNames.W1(0), dim);
        var width = Math.Truncate(2.0 * 4 * dim / 3) * json.Fraction("ffn_dim_multiplier", 1.0);
        return (int)Math.Clamp(Math.Ceiling(Math.Truncate(width) / multipleOf) * multipleOf, 0, int.MaxValue);
    }

    private int Rows(string name, int dim) => WholeShape(name, dim) is [> 0 and <= int.MaxValue, _] shape
        ? (int)shape[0] : throw new InvalidDataException($"{_path}: the tensor {name} is missing, or not a matrix.");

    private bool IsCutByColumns(string name) => IsCutByColumns(name, Config.Dim);

    // The embedding is cut by columns in Llama 1 and 2, by rows in Llama 3: a slice that has all columns was not cut by columns.
    private bool IsCutByColumns(string name, int dim) =>
        name.EndsWith(".attention.wo.weight", StringComparison.Ordinal) || name.EndsWith(".feed_forward.w2.weight", StringComparison.Ordinal)
        || (name == TensorNames.TokEmbeddings && _tensors[0].TryGetValue(name, out var slice) && slice.Shape.Count == 2 && slice.Shape[1] != dim);

    private IReadOnlyList<long>? WholeShape(string name) => WholeShape(name, Config.Dim);

    // The shape that the slices have together; null where a file lacks the tensor.
    private long[]? WholeShape(string name, int dim)
    {
        var slices = new List<TorchTensor>();
        foreach (var (tensors, file) in _tensors.Zip(_shards))
        {
            if (!tensors.TryGetValue(name, out var slice))
                return null;
            slices.Add(slice);
            if (slice.Shape.Count != slices[0].Shape.Count || slice.Shape.Count is not (1 or 2))
                throw new InvalidDataException($"{file.Path}: {name} has {slice.Shape.Count} dimensions, expected {Math.Clamp(slices[0].Shape.Count, 1, 2)}.");
        }
        if (slices[0].Shape.Count == 1)
            return slices.TrueForAll(slice => slice.Length == slices[0].Length) ? [slices[0].Length]
                : throw new InvalidDataException($"{_path}: {name} is of another length in each file, expected the same in all.");
        var cut = IsCutByColumns(name, dim) ? 1 : 0;
        if (!slices.TrueForAll(slice => slice.Shape[1 - cut] == slices[0].Shape[1 - cut]))
            throw new InvalidDataException($"{_path}: the slices of {name} do not fit together.");
        var sum = slices.Aggregate((Int128)0, (total, slice) => total + slice.Shape[cut]);
        var other = slices[0].Shape[1 - cut];
        var along = (long)Int128.Min(sum, long.MaxValue);
        return cut == 0 ? [along, other] : [other, along];
    }

    private void ReadRows(string name, long start, Span<float> destination)
    {
        for (var shard = 0; !destination.IsEmpty; shard++)
        {
            var slice = _tensors[shard][name];
            var count = (int)Math.Clamp(slice.Length - start, 0, destination.Length);
            if (count > 0)
                _shards[shard].ReadRows(slice, start, destination[..count]);
            destination = destination[count..];
            start = Math.Max(0, start - slice.Length);
        }
    }

    private void ReadColumns(string name, long start, Span<float> destination)
    {
        var cols = _tensors.Sum(tensors => (int)tensors[name].Shape[1]);
        var rows = destination.Length / cols;
        var firstCol = 0;
        for (var shard = 0; shard < _shards.Count; shard++)
        {
            var slice = _tensors[shard][name];
            var width = (int)slice.Shape[1];
            var block = ArrayPool<float>.Shared.Rent(rows * width);
            _shards[shard].Read(slice.Rows(start / cols, rows), block.AsSpan(0, rows * width));
            for (var row = 0; row < rows; row++)
                block.AsSpan(row * width, width).CopyTo(destination.Slice(row * cols + firstCol, width));
            ArrayPool<float>.Shared.Return(block);
            firstCol += width;
        }
    }
}
