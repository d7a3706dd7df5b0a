using System.Numerics;
using LlamaFullstack.Core;

namespace LlamaFullstack.Training.Kernels;

/// <summary>
/// Causal self-attention of one sequence and one key head on tiles of tokens (<see cref="TokenTile{T}"/>), forward and backward: a
/// register holds the scores of neighbouring queries for one key. Knows nothing about torch or threads.
/// </summary>
/// <typeparam name="V">The registers to use.</typeparam>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
/// <remarks>
/// Queries come turned by their angles and divided by sqrt(head_size), keys turned. With s = q · k, p = softmax(s) and o = p · v, the
/// gradients of a loss whose gradient by o is g are dv = pᵀ · g, ds = p ∘ (g · vᵀ - rowsum(g ∘ o)), dq = ds · k and dk = dsᵀ · q. p is
/// computed again from the logarithm of each softmax's sum, which is all that the forward pass keeps (Dao et al., FlashAttention, 2022).
/// </remarks>
internal sealed unsafe class TileAttention<V, T>(LlamaConfig config) where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    [ThreadStatic]
    private static ThreadMemory? _memory;

    private static readonly int Tile = TokenTile<T>.Length;
    private static readonly int Block = Tile * Tile; // scores of a tile of queries for a tile of keys

    private readonly int _size = config.HeadSize;
    private readonly int _padded = (config.HeadSize + TokenTile<T>.LineLength - 1) / TokenTile<T>.LineLength * TokenTile<T>.LineLength;
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
    /// <param name="dropout">Of the softmax's weights, head by head.</param>
    public void Forward(int tiles, int keyHead, T* qkv, T* output, T* logSums, DropoutMask dropout)
    {
        var scores = (_memory ??= new()).Take<T>((nint)tiles * Block);
        var row = (nint)keyHead * _size * Tile;
        var factors = stackalloc T[Tile];
        for (var head = keyHead * _queriesPerKey; head < (keyHead + 1) * _queriesPerKey; head++)
        {
            var mask = dropout.Of(head);
            for (var tile = 0; tile < tiles; tile++)
            {
                var queries = qkv + tile * _qkvTile + head * _size * Tile;
                for (var other = 0; other <= tile; other++)
                    RegisterSums.Multiply<V, T>(Tile, Tile, _size, qkv + other * _qkvTile + _keys + row, 1, Tile, queries, Tile, scores + (nint)other * Block, Tile, accumulate: false);
                var mixed = output + ((nint)tile * config.Dim + head * _size) * Tile;
                var sums = logSums + ((nint)tile * config.NHeads + head) * Tile;
                Softmax(tile, scores, sums, factors);
                mask.Apply<V, T>((tile + 1) * Block, scores, FirstScore(tile, tiles));
                RegisterSums.Multiply<V, T>(_size, Tile, Tile, qkv + _values + row, Tile, 1, scores, Tile, mixed, Tile, accumulate: false, tile + 1, _qkvTile, Block);
                TokenTile<T>.Scale<V>(_size, factors, mixed);
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
    /// <param name="dropout">As in the forward pass.</param>
    public void Backward(int tiles, int keyHead, T* qkv, T* output, T* logSums, T* gradient, T* gradientQkv, DropoutMask dropout)
    {
        var (length, row) = ((nint)tiles * Tile * _padded, (nint)keyHead * _size * Tile);
        var memory = (_memory ??= new()).Take<T>(2 * length + 2 * Block + 2 * Tile * _padded + Tile);
        T* keyGradient = memory, valueGradient = keyGradient + length; // (tokens, padded)
        T* p = valueGradient + length, ds = p + Block, queryRows = ds + Block, gradientRows = queryRows + Tile * _padded, shares = gradientRows + Tile * _padded;
        new Span<T>(memory, (int)(2 * length)).Clear();
        new Span<T>(queryRows, 2 * Tile * _padded).Clear();
        for (var head = keyHead * _queriesPerKey; head < (keyHead + 1) * _queriesPerKey; head++)
        {
            var mask = dropout.Of(head);
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
                    var index = FirstScore(tile, tiles) + (uint)(other * Block);
                    RegisterSums.Multiply<V, T>(Tile, Tile, _size, keys, 1, Tile, queries, Tile, p, Tile, accumulate: false);
                    RegisterSums.Multiply<V, T>(Tile, Tile, _size, values, 1, Tile, g, Tile, ds, Tile, accumulate: false);
                    mask.Apply<V, T>(Block, ds, index);
                    SoftmaxBackward(other == tile, p, ds, logSums + ((nint)tile * config.NHeads + head) * Tile, shares);
                    mask.Apply<V, T>(Block, p, index);
                    RegisterSums.Multiply<V, T>(_size, Tile, Tile, keys, Tile, 1, ds, Tile, gradientQkv + tile * _qkvTile + head * _size * Tile, Tile, accumulate: other > 0);
                    var rows = (nint)other * Tile * _padded;
                    RegisterSums.Multiply<V, T>(Tile, _padded, Tile, ds, Tile, 1, queryRows, _padded, keyGradient + rows, _padded, accumulate: true);
                    RegisterSums.Multiply<V, T>(Tile, _padded, Tile, p, Tile, 1, gradientRows, _padded, valueGradient + rows, _padded, accumulate: true);
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

    /// <summary>Where the scores of a tile of queries begin among those of a head, for dropout.</summary>
    private static uint FirstScore(int tile, int tiles) => (uint)(tile * tiles * Block);

    /// <summary>Scores (keys, tile) to weights, which a factor for each query makes sum to 1; a query sees the keys up to its own.</summary>
    private static void Softmax(int tile, T* scores, T* logSums, T* factors)
    {
        var (lanes, seen) = (V.Count, (tile + 1) * Tile);
        var diagonal = scores + (nint)tile * Block;
        for (var j = 0; j < Tile; j++)
        {
            for (var lane = 0; lane < Tile && lane < j; lane += lanes)
            {
                var at = diagonal + j * Tile + lane;
                V.From(j - lane, V.Load(at), T.NegativeInfinity).Store(at);
            }
        }
        for (var first = 0; first < Tile; first += 2 * lanes, scores += 2 * lanes, logSums += 2 * lanes, factors += 2 * lanes)
        {
            V max0 = V.Load(scores), max1 = V.Load(scores + lanes);
            for (var j = 1; j < seen; j++)
            {
                max0 = V.Max(max0, V.Load(scores + j * Tile));
                max1 = V.Max(max1, V.Load(scores + j * Tile + lanes));
            }
            V sum0 = default, sum1 = default;
            for (var j = 0; j < seen; j++)
            {
                var at = scores + j * Tile;
                V e0 = Lanes.Exp<V, T>(V.Load(at) - max0), e1 = Lanes.Exp<V, T>(V.Load(at + lanes) - max1);
                e0.Store(at);
                e1.Store(at + lanes);
                sum0 += e0;
                sum1 += e1;
            }
            max0.Store(logSums);
            max1.Store(logSums + lanes);
            sum0.Store(factors);
            sum1.Store(factors + lanes);
            for (var lane = 0; lane < 2 * lanes; lane++)
            {
                logSums[lane] += T.Log(factors[lane]);
                factors[lane] = T.One / factors[lane];
            }
        }
    }

    /// <summary>p: scores to the softmax's weights. ds: gradients by the weights to gradients by the scores.</summary>
    private static void SoftmaxBackward(bool isDiagonal, T* p, T* ds, T* logs, T* shares)
    {
        for (var first = 0; first < Tile; first += V.Count)
        {
            V log = V.Load(logs + first), share = V.Load(shares + first);
            for (var j = 0; j < Tile; j++)
            {
                var at = j * Tile + first;
                var weight = Lanes.Exp<V, T>(V.Load(p + at) - log);
                if (isDiagonal && j > first)
                    weight = V.From(j - first, weight, T.Zero);
                weight.Store(p + at);
                (weight * (V.Load(ds + at) - share)).Store(ds + at);
            }
        }
    }

    /// <summary>Σ g ∘ o over a head's features.</summary>
    private void Shares(T* gradient, T* output, T* shares)
    {
        for (var first = 0; first < Tile; first += V.Count)
        {
            V sum = default;
            for (var f = 0; f < _size; f++)
                sum = V.MultiplyAdd(V.Load(gradient + f * Tile + first), V.Load(output + f * Tile + first), sum);
            sum.Store(shares + first);
        }
    }
}
