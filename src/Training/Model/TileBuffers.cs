using System.Numerics;
using System.Runtime.InteropServices;
using LlamaFullstack.Core;
using LlamaFullstack.Training.Kernels;

namespace LlamaFullstack.Training.Model;

/// <summary>Everything that the passes of a <see cref="TiledTransformer{V,T}"/> write, for batches of one size: allocated once, each when it is first needed.</summary>
/// <remarks>Buffers are asked for before a parallel loop, not in it: two threads would each make one, and one of the two would be lost.</remarks>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
internal sealed unsafe class TileBuffers<T>(LlamaConfig config, int tiles, int group) : IDisposable where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private const int Line = 64;
    private const int Gap = 4; // features between tiles: 512 bytes of float32, so that a feature of all tiles does not fall into one set of a cache
    private const long PartSize = 1 << 24; // values in the scores of one part of the batch: 64 MB of float32

    private readonly List<nint> _memory = [];
    private readonly Tiles<T>?[] _streams = new Tiles<T>?[config.NLayers + 1];
    private readonly Layer?[] _layers = new Layer?[config.NLayers];
    private Tiles<T>? _scores;
    private Backward? _gradients;
    private nint _classifierGradient;

    ~TileBuffers() => Free();

    /// <summary>Tiles of the batch.</summary>
    public int Tiles => tiles;

    /// <summary>Tiles whose scores fit one part of the batch: whole groups.</summary>
    public int TilesOfPart { get; } = (int)Math.Max(1, PartSize / ((long)config.VocabSize * TokenTile<T>.Length * group)) * group;

    /// <summary>The stream before a layer, or after the last.</summary>
    public Tiles<T> Stream(int layer) => _streams[layer] ??= New(config.Dim);

    /// <summary>What the forward pass of a layer keeps for the backward pass.</summary>
    public Layer Of(int layer) => _layers[layer] ??= new Layer(New(config.Dim + 2 * config.KvDim), New(config.Dim), New(config.NHeads), New(config.Dim), New(2 * config.HiddenDim));

    /// <summary>The scores of one part, which become their gradient.</summary>
    public Tiles<T> Scores => _scores ??= New(config.VocabSize, Math.Min(tiles, TilesOfPart));

    /// <summary>The gradient by the classifier, before it is multiplied with the loss's own.</summary>
    public T* ClassifierGradient => (T*)(_classifierGradient = _classifierGradient == 0 ? (nint)Allocate((nint)config.VocabSize * config.Dim) : _classifierGradient);

    /// <summary>What the backward pass of one layer after the other writes.</summary>
    public Backward Gradients => _gradients ??= new Backward(
        [New(config.Dim), New(config.Dim), New(config.Dim)], New(2 * config.HiddenDim), New(config.Dim), New(config.Dim + 2 * config.KvDim),
        NewRows(config.Dim), NewRows(config.Dim), NewRows(config.Dim), NewRows(config.HiddenDim), Allocate((nint)tiles * config.Dim), Allocate((nint)tiles * config.Dim));

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private Tiles<T> New(int features) => New(features, tiles);

    private Tiles<T> NewRows(int features)
    {
        var rows = New(TokenTile<T>.WholeBlocks(features));
        for (var tile = 0; tile < tiles; tile++)
            new Span<T>(rows[tile], (int)rows.Step).Clear(); // what follows a token's features is read with them
        return rows;
    }

    private Tiles<T> New(int features, int count) => new(Allocate((nint)count * (features + Gap) * TokenTile<T>.Length), (nint)(features + Gap) * TokenTile<T>.Length);

    private T* Allocate(nint count)
    {
        var memory = NativeMemory.AlignedAlloc((nuint)count * (nuint)sizeof(T), Line);
        _memory.Add((nint)memory);
        return (T*)memory;
    }

    private void Free()
    {
        foreach (var memory in _memory)
            NativeMemory.AlignedFree((void*)memory);
        _memory.Clear();
    }

    /// <summary>Of one layer: queries, keys and values (turned by their angles), attention's output and the logarithms of its sums, the stream after attention, and w1 · x above w3 · x.</summary>
    public sealed record Layer(Tiles<T> Qkv, Tiles<T> Attended, Tiles<T> LogSums, Tiles<T> H, Tiles<T> Gates);

    /// <summary>Gradients by the streams (three take turns), by the other values of a layer, and token by token the inputs of its products.</summary>
    public sealed class Backward(
        Tiles<T>[] streams, Tiles<T> gates, Tiles<T> attended, Tiles<T> qkv, Tiles<T> xRows, Tiles<T> attendedRows, Tiles<T> hRows, Tiles<T> hiddenRows, T* attentionNorm, T* ffnNorm)
    {
        public Tiles<T>[] Streams => streams;

        public Tiles<T> Gates => gates;

        public Tiles<T> Attended => attended;

        public Tiles<T> Qkv => qkv;

        public Tiles<T> XRows => xRows;

        public Tiles<T> AttendedRows => attendedRows;

        public Tiles<T> HRows => hRows;

        public Tiles<T> HiddenRows => hiddenRows;

        /// <summary>By the weight of the norm before attention, and at the end of the last norm: (groups, dim).</summary>
        public T* AttentionNorm => attentionNorm;

        /// <summary>By the weight of the norm before the feed-forward network: (groups, dim).</summary>
        public T* FfnNorm => ffnNorm;
    }
}
