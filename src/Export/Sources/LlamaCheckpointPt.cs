using LlamaFullstack.Core;

namespace LlamaFullstack.Export.Sources;

/// <summary>A checkpoint of llama2.c's train.py (ckpt.pt): a dictionary with <c>model_args</c> and the weights under <c>model</c>.</summary>
/// <remarks>
/// What only training needs (optimizer, iter_num, best_val_loss, config) is not looked at. Names may begin with <c>_orig_mod.</c>, the mark
/// of torch.compile. As in llama2.c, hidden_dim is the shape of w1 and the classifier is shared where it equals the embedding.
/// </remarks>
public sealed class LlamaCheckpointPt : ITensorSource, IDisposable
{
    private const string CompiledPrefix = "_orig_mod.";

    private readonly TorchFile _file;
    private readonly Dictionary<string, TorchTensor> _tensors = new(StringComparer.Ordinal);

    private LlamaCheckpointPt(TorchFile file)
    {
        _file = file;
        if (file.Root is not PickleDict root || !root.TryGetValue("model", out var model) || !root.TryGetValue("model_args", out var modelArgs))
            throw Bad("not a checkpoint of llama2.c: a PyTorch file without 'model' and 'model_args'");
        CollectTensors(model as PickleDict ?? throw Bad("model is not a dictionary of weights"));
        Config = ReadConfig(modelArgs as PickleDict ?? throw Bad("model_args is not a dictionary"));
        var hasClassifier = _tensors.ContainsKey(TensorNames.Output);
        TensorCheck.Shapes(file.Path, Config, sharedClassifier: !hasClassifier, name => _tensors.GetValueOrDefault(name)?.Shape);
        TensorCheck.Names(Config, _tensors.Keys.Select(name => (name, file.Path)), name => name, IsBuffer);
        // As export.py decides it (torch.equal); a classifier that is not in the file is the embedding.
        SharedClassifier = !hasClassifier || AreEqual(_tensors[TensorNames.Output], _tensors[TensorNames.TokEmbeddings]);
    }

    /// <inheritdoc/>
    public LlamaConfig Config { get; }

    /// <inheritdoc/>
    public bool SharedClassifier { get; }

    /// <summary>Opens a checkpoint and checks that it has every tensor in its right shape.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, hostile, or not a checkpoint of llama2.c.</exception>
    public static LlamaCheckpointPt Open(string path)
    {
        var file = TorchFile.Open(path);
        try
        {
            return new LlamaCheckpointPt(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Read(string name, long start, Span<float> destination) =>
        _file.ReadRows(Find(this.NameHeld(name)), start, destination);

    /// <inheritdoc/>
    public TensorStorage StorageOf(string name) => Find(this.NameHeld(name)).Held;

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();

    private void CollectTensors(PickleDict model)
    {
        foreach (var (key, value) in model)
        {
            var name = key.StartsWith(CompiledPrefix, StringComparison.Ordinal) ? key[CompiledPrefix.Length..] : key;
            if (value is not TorchTensor tensor)
                throw Bad($"{PlainText.Quote(name)} is not a tensor");
            if (!_tensors.TryAdd(name, tensor))
                throw Bad($"{PlainText.Quote(name)} is there twice, with and without the prefix {CompiledPrefix}");
        }
    }

    private LlamaConfig ReadConfig(PickleDict args)
    {
        var heads = Number(args, "n_heads");
        var w1 = Find(TensorNames.W1(0));
        var config = new LlamaConfig
        {
            Dim = Number(args, "dim"),
            HiddenDim = w1.Shape is [>= 0 and <= int.MaxValue, _] ? (int)w1.Shape[0] : throw Bad($"{TensorNames.W1(0)} is not a matrix"),
            NLayers = Number(args, "n_layers"),
            NHeads = heads,
            NKvHeads = args.GetValueOrDefault("n_kv_heads") is null ? heads : Number(args, "n_kv_heads"),
            VocabSize = Number(args, "vocab_size"),
            MaxSeqLen = Number(args, "max_seq_len"),
            RopeTheta = Fraction(args, "rope_theta", LlamaConfig.DefaultRopeTheta),
            NormEps = Fraction(args, "norm_eps", LlamaConfig.DefaultNormEps),
        };
        return config.Validated($"{_file.Path}: model_args");
    }

    private int Number(PickleDict args, string name) => args.GetValueOrDefault(name) switch
    {
        long value and >= int.MinValue and <= int.MaxValue => (int)value,
        null => throw Bad($"model_args has no {name}"),
        _ => throw Bad($"{name} of model_args is not a whole number"),
    };

    private float Fraction(PickleDict args, string name, float missing) => args.GetValueOrDefault(name) switch
    {
        null => missing,
        double value => (float)value,
        long value => value,
        _ => throw Bad($"{name} of model_args is not a number"),
    };

    // Of two matrices of the same shape.
    private bool AreEqual(TorchTensor a, TorchTensor b)
    {
        if (a.IsSameView(b))
            return true;
        Span<float> rowOfA = new float[a.Shape[1]], rowOfB = new float[b.Shape[1]];
        for (var row = 0L; row < a.Shape[0]; row++)
        {
            _file.Read(a.Row(row), rowOfA);
            _file.Read(b.Row(row), rowOfB);
            for (var i = 0; i < rowOfA.Length; i++)
                if (rowOfA[i] != rowOfB[i])
                    return false;
        }
        return true;
    }

    // Tables that llama2.c computes anew: older versions of it saved them too.
    private static bool IsBuffer(string name) =>
        name is "freqs_cos" or "freqs_sin" or "freqs_cis" || name.EndsWith(".attention.mask", StringComparison.Ordinal);

    private TorchTensor Find(string name) =>
        _tensors.TryGetValue(name, out var tensor) ? tensor : throw Bad($"the tensor {name} is missing");

    private InvalidDataException Bad(string problem) => new($"{_file.Path}: {problem}.");
}
