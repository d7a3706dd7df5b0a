using System.Numerics;
using System.Runtime.Intrinsics;
using LlamaFullstack.Core;

namespace LlamaFullstack.Training.Kernels;

/// <summary>
/// Causal self-attention of one sequence and one key head on tiles of tokens (<see cref="TokenTile{T}"/>), forward and backward: a
/// register holds the scores of neighbouring queries for one key. Knows nothing about torch or threads.
/// </summary>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
/// <remarks>
/// Queries come turned by their angles and divided by sqrt(head_size), keys turned. With s = q · k, p = softmax(s) and o = p · v, the
/// gradients of a loss whose gradient by o is g are dv = pᵀ · g, ds = p ∘ (g · vᵀ - rowsum(g ∘ o)), dq = ds · k and dk = dsᵀ · q. p is
/// computed again from the logarithm of each softmax's sum, which is all that the forward pass keeps (Dao et al., FlashAttention, 2022).
/// </remarks>
internal sealed unsafe class TileAttention<T>(LlamaConfig config) where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    [ThreadStatic]
    private static ThreadMemory? _memory;

    private static readonly int Tile = TokenTile<T>.Length;
    private static readonly int Block = Tile * Tile; // scores of a tile of queries for a tile of keys

    private readonly int _size = config.HeadSize;
    private readonly int _padded = (config.HeadSize + Vector512<T>.Count - 1) / Vector512<T>.Count * Vector512<T>.Count;
    private readonly int _queriesPerKey = config.NHeads / config.NKvHeads;
    private readonly nint _qkvTile = (nint)(config.Dim + 2 * config.KvDim) * Tile;
    private readonly nint _keys = (nint)config.Dim * Tile; // from a tile's queries to its keys
    private readonly nint _values = (nint)(config.Dim + config.KvDim) * Tile;

    /// <summary>Attends, for all query heads of one key head.</summary>
    /// <param name="tiles">Of the sequence.</param>
    /// <param name="keyHead">Which.</param>
    /// <param name="qkv">(tiles, dim + 2 · kv_dim, tile).</param>
    /// <param name="output">(tiles, dim, tile); the rows of the query heads are written.</param>
    /// <param name="logSums">(tiles, heads, tile): of each softmax the logarithm of its sum.</param>
    public void Forward(int tiles, int keyHead, T* qkv, T* output, T* logSums)
    {
        var scores = (_memory ??= new()).Take<T>((nint)tiles * Block);
        var row = (nint)keyHead * _size * Tile;
        for (var head = keyHead * _queriesPerKey; head < (keyHead + 1) * _queriesPerKey; head++)
        {
            for (var tile = 0; tile < tiles; tile++)
            {
                var queries = qkv + tile * _qkvTile + head * _size * Tile;
                for (var other = 0; other <= tile; other++)
                    MatrixProduct.Narrow(Tile, _size, qkv + other * _qkvTile + _keys + row, 1, Tile, queries, scores + (nint)other * Block, accumulate: false);
                var mixed = output + ((nint)tile * config.Dim + head * _size) * Tile;
                var sums = logSums + ((nint)tile * config.NHeads + head) * Tile;
                Softmax(tile, scores, sums, out var factor0, out var factor1);
                for (var other = 0; other <= tile; other++)
                    MatrixProduct.Narrow(_size, Tile, qkv + other * _qkvTile + _values + row, Tile, 1, scores + (nint)other * Block, mixed, accumulate: other > 0);
                for (var f = 0; f < _size; f++, mixed += Tile)
                {
                    Vector512.Store(Vector512.Load(mixed) * factor0, mixed);
                    Vector512.Store(Vector512.Load(mixed + Tile / 2) * factor1, mixed + Tile / 2);
                }
            }
        }
    }

    /// <summary>Takes the gradient back, for all query heads of one key head.</summary>
    /// <param name="tiles">Of the sequence.</param>
    /// <param name="keyHead">Which.</param>
    /// <param name="qkv">As in the forward pass.</param>
    /// <param name="output">What that gave.</param>
    /// <param name="logSums">What that kept.</param>
    /// <param name="gradient">By the output, (tiles, dim, tile).</param>
    /// <param name="gradientQkv">By queries, keys and values; the rows of these heads are written.</param>
    public void Backward(int tiles, int keyHead, T* qkv, T* output, T* logSums, T* gradient, T* gradientQkv)
    {
        var (length, row) = ((nint)tiles * Tile * _padded, (nint)keyHead * _size * Tile);
        var memory = (_memory ??= new()).Take<T>(2 * length + 2 * Block + 2 * Tile * _padded + Tile);
        T* keyGradient = memory, valueGradient = keyGradient + length; // (tokens, padded)
        T* p = valueGradient + length, ds = p + Block, queryRows = ds + Block, gradientRows = queryRows + Tile * _padded, shares = gradientRows + Tile * _padded;
        new Span<T>(memory, (int)(2 * length)).Clear();
        new Span<T>(queryRows, 2 * Tile * _padded).Clear();
        for (var head = keyHead * _queriesPerKey; head < (keyHead + 1) * _queriesPerKey; head++)
        {
            for (var tile = 0; tile < tiles; tile++)
            {
                var at = ((nint)tile * config.Dim + head * _size) * Tile;
                T* queries = qkv + tile * _qkvTile + head * _size * Tile, g = gradient + at;
                Transposition.Compute(_size, Tile, queries, Tile, queryRows, _padded);
                Transposition.Compute(_size, Tile, g, Tile, gradientRows, _padded);
                Shares(g, output + at, shares);
                for (var other = 0; other <= tile; other++)
                {
                    T* keys = qkv + other * _qkvTile + _keys + row, values = qkv + other * _qkvTile + _values + row;
                    MatrixProduct.Narrow(Tile, _size, keys, 1, Tile, queries, p, accumulate: false);
                    MatrixProduct.Narrow(Tile, _size, values, 1, Tile, g, ds, accumulate: false);
                    SoftmaxBackward(other == tile, p, ds, logSums + ((nint)tile * config.NHeads + head) * Tile, shares);
                    MatrixProduct.Narrow(_size, Tile, keys, Tile, 1, ds, gradientQkv + tile * _qkvTile + head * _size * Tile, accumulate: other > 0);
                    var rows = (nint)other * Tile * _padded;
                    MatrixProduct.Compute(Tile, Tile, _padded, ds, Tile, 1, queryRows, _padded, keyGradient + rows, _padded, accumulate: true);
                    MatrixProduct.Compute(Tile, Tile, _padded, p, Tile, 1, gradientRows, _padded, valueGradient + rows, _padded, accumulate: true);
                }
            }
        }
        for (var tile = 0; tile < tiles; tile++)
        {
            var rows = (nint)tile * Tile * _padded;
            Transposition.Compute(Tile, _size, keyGradient + rows, _padded, gradientQkv + tile * _qkvTile + _keys + row, Tile);
            Transposition.Compute(Tile, _size, valueGradient + rows, _padded, gradientQkv + tile * _qkvTile + _values + row, Tile);
        }
    }

    /// <summary>Scores (keys, tile) to weights, which a factor for each query makes sum to 1; a query sees the keys up to its own.</summary>
    private static void Softmax(int tile, T* scores, T* logSums, out Vector512<T> factor0, out Vector512<T> factor1)
    {
        var (lanes, seen) = (Vector512<T>.Count, (tile + 1) * Tile);
        var diagonal = scores + (nint)tile * Block;
        for (var j = 0; j < Tile; j++)
        {
            for (var half = 0; half < Tile && half < j; half += lanes)
            {
                var at = diagonal + j * Tile + half;
                Vector512.Store(Vector512.ConditionalSelect(Seen(j - half), Vector512.Load(at), Vector512.Create(T.NegativeInfinity)), at);
            }
        }
        Vector512<T> max0 = Vector512.Load(scores), max1 = Vector512.Load(scores + lanes);
        for (var j = 1; j < seen; j++)
        {
            max0 = Vector512.MaxNative(max0, Vector512.Load(scores + j * Tile));
            max1 = Vector512.MaxNative(max1, Vector512.Load(scores + j * Tile + lanes));
        }
        Vector512<T> sum0 = default, sum1 = default;
        for (var j = 0; j < seen; j++)
        {
            var at = scores + j * Tile;
            var (e0, e1) = (Lanes.Exp(Vector512.Load(at) - max0), Lanes.Exp(Vector512.Load(at + lanes) - max1));
            Vector512.Store(e0, at);
            Vector512.Store(e1, at + lanes);
            sum0 += e0;
            sum1 += e1;
        }
        (factor0, factor1) = (Vector512<T>.One / sum0, Vector512<T>.One / sum1);
        for (var lane = 0; lane < lanes; lane++)
        {
            logSums[lane] = max0[lane] + T.Log(sum0[lane]);
            logSums[lanes + lane] = max1[lane] + T.Log(sum1[lane]);
        }
    }

    /// <summary>p: scores to the softmax's weights. ds: gradients by the weights to gradients by the scores.</summary>
    private static void SoftmaxBackward(bool isDiagonal, T* p, T* ds, T* logs, T* shares)
    {
        var lanes = Vector512<T>.Count;
        for (var half = 0; half < Tile; half += lanes)
        {
            var (log, share) = (Vector512.Load(logs + half), Vector512.Load(shares + half));
            for (var j = 0; j < Tile; j++)
            {
                var at = j * Tile + half;
                var weight = Lanes.Exp(Vector512.Load(p + at) - log);
                if (isDiagonal && j > half)
                    weight = Vector512.ConditionalSelect(Seen(j - half), weight, Vector512<T>.Zero);
                Vector512.Store(weight, p + at);
                Vector512.Store(weight * (Vector512.Load(ds + at) - share), ds + at);
            }
        }
    }

    /// <summary>Σ g ∘ o over a head's features.</summary>
    private void Shares(T* gradient, T* output, T* shares)
    {
        var lanes = Vector512<T>.Count;
        for (var half = 0; half < Tile; half += lanes)
        {
            var sum = Vector512<T>.Zero;
            for (var f = 0; f < _size; f++)
                sum = Lanes.MultiplyAdd(Vector512.Load(gradient + f * Tile + half), Vector512.Load(output + f * Tile + half), sum);
            Vector512.Store(sum, shares + half);
        }
    }

    /// <summary>The lanes from the given one on.</summary>
    private static Vector512<T> Seen(int lane) =>
        Vector512.GreaterThanOrEqual(Vector512.CreateSequence(T.Zero, T.One), Vector512.Create(T.CreateTruncating(lane)));
}
