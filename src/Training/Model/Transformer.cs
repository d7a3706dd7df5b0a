using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using LlamaFullstack.Core;
using LlamaFullstack.Training.Kernels;
using LlamaFullstack.Training.Native;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace LlamaFullstack.Training.Model;

/// <summary>
/// Llama 2 (Touvron et al., 2023) as llama2.c trains it: tokens → embedding → layers → norm → classifier. Its parameters have the names
/// and shapes of <see cref="TensorNames"/>. Knows nothing about optimizers, data or files.
/// </summary>
public sealed class Transformer : nn.Module, ITensorSource
{
    /// <summary>Standard deviation of the initial weights.</summary>
    internal const double InitStd = 0.02;

    // In NEON's 128 bits tiles were not measured: there they serve small models alone, where they gain most, and torch's products the larger ones (docs/LOG.md).
    private static readonly long MostTiledParameters = Vector256.IsHardwareAccelerated ? long.MaxValue : 1 << 19;

    private readonly double _dropout;
    private readonly ModelPlacement _placement;
    private readonly Rope _rope;
    [ComponentName(Name = "tok_embeddings")]
    private readonly Embedding _embedding;
    [ComponentName(Name = "layers")]
    private readonly ModuleList<TransformerBlock> _layers;
    [ComponentName(Name = "norm")]
    private readonly RmsNorm _norm;
    [ComponentName(Name = "output")]
    private readonly Linear? _output;
    private readonly Dictionary<string, Parameter> _byName;
    private readonly Func<Tensor, Tensor, Tensor>? _fusedLoss; // where our own kernels serve
    private Action? _freeBuffers;

    /// <summary>Makes a model with random weights, drawn from torch's generator.</summary>
    /// <param name="config">The model's shape.</param>
    /// <param name="placement">Where it lies and in which precision it computes.</param>
    /// <param name="dropout">The share of activations that training sets to zero.</param>
    /// <param name="sharedClassifier">Whether the classifier is the embedding itself, as training always has it.</param>
    public Transformer(LlamaConfig config, ModelPlacement placement, double dropout = 0, bool sharedClassifier = true)
        : base(nameof(Transformer))
    {
        Config = config;
        SharedClassifier = sharedClassifier;
        _placement = placement;
        _dropout = dropout;
        _rope = new Rope(config, placement);
        _embedding = nn.Embedding(config.VocabSize, config.Dim, device: placement.Device, dtype: placement.Weights);
        nn.init.normal_(_embedding.weight!, 0, InitStd);
        _layers = new([.. Enumerable.Range(0, config.NLayers).Select(_ => new TransformerBlock(config, _rope, dropout, placement))]);
        _norm = new RmsNorm(config.Dim, config.NormEps, placement);
        _output = sharedClassifier ? null : new Linear(config.Dim, config.VocabSize, InitStd, placement);
        RegisterComponents();
        _byName = named_parameters().ToDictionary(entry => entry.name, entry => entry.parameter);
        if (!TorchOperators.IsAvailable || placement.Device.type != DeviceType.CPU)
            return;
        if (Lanes.AreFastInTiles && placement.Products == placement.Weights && config.ParameterCount <= MostTiledParameters)
            _fusedLoss = placement.Weights == ScalarType.Float64 ? Tiled<double>() : Tiled<float>();
        else if (Lanes.AreFast)
            _fusedLoss = placement.Weights == ScalarType.Float64 ? Fused<double>() : Fused<float>();
    }

    /// <summary>The model's shape.</summary>
    public LlamaConfig Config { get; }

    /// <summary>Whether the classifier is the embedding itself.</summary>
    public bool SharedClassifier { get; }

    /// <summary>The parameters by their names, which are those of <see cref="TensorNames"/>.</summary>
    public IReadOnlyDictionary<string, Parameter> Parameters => _byName;

    /// <summary>Called in the backward pass with a layer's number as soon as the gradients of that layer and of all above it are complete.</summary>
    internal Action<int>? BackwardReached { get; set; }

    /// <summary>Makes a model and gives it the weights of a source, such as a .bin file or a checkpoint.</summary>
    /// <param name="source">Where the weights come from.</param>
    /// <param name="placement">Where the model lies and in which precision it computes.</param>
    /// <exception cref="InvalidDataException">The source lacks a tensor.</exception>
    public static Transformer Load(ITensorSource source, ModelPlacement placement)
    {
        var model = new Transformer(source.Config, placement, sharedClassifier: source.SharedClassifier);
        model.CopyFrom(source);
        return model;
    }

    /// <summary>Standard deviation of what is added to the residual stream (wo and w2), so that its sum over 2 · n_layers has <see cref="InitStd"/>.</summary>
    internal static double ResidualInitStd(LlamaConfig config) => InitStd / Math.Sqrt(2.0 * config.NLayers);

    /// <summary>An empty cache for one sequence.</summary>
    public KvCache NewCache() => new(Config, _placement);

    /// <summary>The score of every token of the vocabulary to come next, after the last of the given tokens of one sequence.</summary>
    /// <param name="tokens">Token ids.</param>
    /// <param name="cache">The tokens before these, to which they are added; null where there are none.</param>
    /// <returns>(1, vocab_size) in float32.</returns>
    public Tensor NextLogits(IReadOnlyCollection<long> tokens, KvCache? cache = null)
    {
        using var batch = tensor(tokens.ToArray(), [1, tokens.Count], device: _placement.Device);
        return NextLogits(batch, cache);
    }

    /// <summary>The score of every token of the vocabulary to come next, after the last of the given tokens.</summary>
    /// <param name="tokens">(batch, time), 64-bit integers.</param>
    /// <param name="cache">The tokens before these, to which they are added; null where there are none.</param>
    /// <returns>(batch, vocab_size) in float32.</returns>
    public Tensor NextLogits(Tensor tokens, KvCache? cache = null)
    {
        using var scope = NewDisposeScope();
        var stream = Stream(tokens, cache);
        cache?.Advance((int)tokens.shape[1]);
        var last = stream.narrow(1, stream.shape[1] - 1, 1).squeeze(1);
        var logits = linear(_placement.ForProduct(last), _placement.ForProduct(Classifier));
        return logits.to(_placement.Weights).MoveToOuterDisposeScope();
    }

    /// <summary>The mean over all positions of -log softmax(logits)[target].</summary>
    /// <param name="tokens">(batch, time), 64-bit integers.</param>
    /// <param name="targets">The token after each one, (batch, time); positions with -1 do not count.</param>
    /// <returns>A scalar.</returns>
    public Tensor Loss(Tensor tokens, Tensor targets)
    {
        using var scope = NewDisposeScope();
        return (_fusedLoss ?? PlainLoss)(tokens, targets).MoveToOuterDisposeScope();
    }

    /// <summary>The loss with torch's own operators and derivatives: the reference, and what runs on a GPU, in 16 bits without AVX-512, for large models on NEON and on AVX2 that is not AMD's, and for all without AVX2 or NEON.</summary>
    internal Tensor PlainLoss(Tensor tokens, Tensor targets)
    {
        using var scope = NewDisposeScope();
        var stream = Stream(tokens, cache: null).view(-1, Config.Dim);
        return ClassifierLoss.Of(stream, Classifier, targets.view(-1), _placement).MoveToOuterDisposeScope();
    }

    /// <summary>Takes over the weights of a source of the same shape.</summary>
    /// <exception cref="InvalidDataException">The source lacks a tensor.</exception>
    public void CopyFrom(ITensorSource source)
    {
        using var noGrad = no_grad();
        foreach (var tensor in TensorNames.All(Config, SharedClassifier))
        {
            var values = new float[tensor.Length];
            source.Read(tensor.Name, values);
            using var copy = from_array(values);
            using var shaped = copy.view(_byName[tensor.Name].shape);
            _byName[tensor.Name].copy_(shaped);
        }
    }

    /// <inheritdoc/>
    public void Read(string name, long start, Span<float> destination)
    {
        if (!_byName.TryGetValue(name, out var parameter) || start < 0 || start > parameter.numel() - destination.Length)
            throw new InvalidDataException($"the model in memory has no tensor {name} of {start + destination.Length} values.");
        using var values = parameter.detach();
        using var flat = values.view(-1);
        using var part = flat.narrow(0, start, destination.Length);
        using var here = part.to(ScalarType.Float32, CPU);
        MemoryMarshal.Cast<byte, float>(here.bytes).CopyTo(destination);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _rope.Dispose();
            _freeBuffers?.Invoke();
        }
        base.Dispose(disposing);
    }

    private string ClassifierName => SharedClassifier ? TensorNames.TokEmbeddings : TensorNames.Output;

    private Parameter Classifier => _byName[ClassifierName];

    /// <summary>The loss with our own kernels and torch's products, which are faster where weights outgrow the cache, and have other precisions.</summary>
    internal Func<Tensor, Tensor, Tensor> Fused<T>() where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var fused = new FusedTransformer<T>(Config, _placement, _rope, _byName, ClassifierName);
        return (tokens, targets) => fused.Loss(tokens, targets, DrawDropout(), BackwardReached);
    }

    /// <summary>The loss with our own kernels alone, tile by tile, in this processor's widest registers.</summary>
    private Func<Tensor, Tensor, Tensor> Tiled<T>() where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Vector512.IsHardwareAccelerated ? Tiled<Register512<T>, T>() : Vector256.IsHardwareAccelerated ? Tiled<Register256<T>, T>() : Tiled<Register128<T>, T>();

    /// <summary>The same in registers of one width.</summary>
    internal Func<Tensor, Tensor, Tensor> Tiled<V, T>() where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var passes = new TiledTransformer<V, T>(Config, _rope, _byName, ClassifierName);
        _freeBuffers += passes.Dispose;
        return (tokens, targets) => passes.Loss(tokens, targets, DrawDropout(), BackwardReached);
    }

    /// <summary>What one batch drops, by a key from torch's generator.</summary>
    internal DropoutMask DrawDropout()
    {
        if (!training || _dropout == 0)
            return default;
        using var key = randint(0, long.MaxValue, [1], dtype: ScalarType.Int64);
        return new DropoutMask(_dropout, (ulong)key.item<long>());
    }

    /// <summary>The residual stream after the last norm, (batch, time, dim).</summary>
    private Tensor Stream(Tensor tokens, KvCache? cache)
    {
        var h = dropout(_embedding.forward(tokens), _dropout, training);
        for (var layer = 0; layer < _layers.Count; layer++)
        {
            if (BackwardReached is { } reached && h.requires_grad)
                h = BackwardMark.Apply(h, layer, reached);
            h = _layers[layer].Forward(h, layer, cache);
        }
        return _norm.forward(h);
    }
}
