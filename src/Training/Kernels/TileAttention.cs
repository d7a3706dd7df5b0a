using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using LlamaFullstack.Core;

namespace LlamaFullstack.Training.Kernels;

/// <summary>
/// Causal self-attention of one sequence and one key head on tiles of tokens (<see cref="TokenTile{T}"/>), forward and backward: a
/// register holds the scores of neighbouring queries for one key, in the backward pass of neighbouring keys for one query. Knows nothing about torch or threads.
/// </summary>
/// <typeparam name="V">The registers to use.</typeparam>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
/// <remarks>
/// Queries come turned by their angles and divided by sqrt(head_size), keys turned. With s = q · k, p = softmax(s) and o = p · v, the
/// gradients of a loss whose gradient by o is g are dv = pᵀ · g, ds = p ∘ (g · vᵀ - rowsum(g ∘ o)), dq = ds · k and dk = dsᵀ · q. p is
/// computed again from the logarithm of each softmax's sum, which is all that the forward pass keeps (Dao et al., FlashAttention, 2022).
/// Scores and logarithms are those to the base of 2, since 2^x takes fewer steps than e^x: queries come multiplied with log2(e) too, so dk comes out with that factor.
/// </remarks>
internal sealed unsafe class TileAttention<V, T>(LlamaConfig config) where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    [ThreadStatic]
    private static ThreadMemory? _memory;

    private static readonly int Tile = TokenTile<T>.Length;
    private static readonly int Block = Tile * Tile; // scores of a tile of queries for a tile of keys

    private readonly int _size = config.HeadSize;
    private readonly int _queriesPerKey = config.NHeads / config.NKvHeads;
    private readonly nint _keys = (nint)config.Dim * Tile; // from a tile's queries to its keys
    private readonly nint _values = (nint)(config.Dim + config.KvDim) * Tile;

    /// <summary>Attends, for all query heads of one key head.</summary>
    /// <param name="tiles">Of the sequence.</param>
    /// <param name="keyHead">Which.</param>
    /// <param name="qkv">(tiles, dim + 2 · kv_dim, tile).</param>
    /// <param name="output">(tiles, dim, tile); the rows of the query heads are written.</param>
    /// <param name="logSums">(tiles, heads, tile): of each softmax the logarithm of its sum, to the base of 2.</param>
    /// <param name="dropout">Of the softmax's weights, head by head.</param>
    public void Forward(int tiles, int keyHead, Tiles<T> qkv, Tiles<T> output, Tiles<T> logSums, DropoutMask dropout)
    {
        var scores = (_memory ??= new()).Take<T>((nint)tiles * Block);
        var row = (nint)keyHead * _size * Tile;
        var factors = stackalloc T[Tile];
        for (var head = keyHead * _queriesPerKey; head < (keyHead + 1) * _queriesPerKey; head++)
        {
            var mask = dropout.Of(head);
            for (var tile = 0; tile < tiles; tile++)
            {
                if (head == keyHead * _queriesPerKey && tile + 1 < tiles)
                    Prefetch(tile + 1, keyHead, [qkv], [output]);
                var queries = qkv[tile] + head * _size * Tile;
                for (var other = 0; other <= tile; other++)
                    RegisterSums.Multiply<V, T>(Tile, Tile, _size, qkv[other] + _keys + row, 1, Tile, queries, Tile, scores + (nint)other * Block, Tile, accumulate: false);
                var mixed = output[tile] + head * _size * Tile;
                Softmax(tile, scores, logSums[tile] + head * Tile, factors);
                mask.Apply<V, T>((tile + 1) * Block, scores, FirstScore(tile, tiles));
                RegisterSums.Multiply<V, T>(_size, Tile, Tile, qkv[0] + _values + row, Tile, 1, scores, Tile, mixed, Tile, accumulate: false, tile + 1, qkv.Step, Block);
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
    /// <param name="gradientQkv">By queries without the factor of log2(e), by keys with it, and by values; the rows of these heads are written.</param>
    /// <param name="dropout">As in the forward pass.</param>
    public void Backward(int tiles, int keyHead, Tiles<T> qkv, Tiles<T> output, Tiles<T> logSums, Tiles<T> gradient, Tiles<T> gradientQkv, DropoutMask dropout)
    {
        var row = (nint)keyHead * _size * Tile;
        var memory = (_memory ??= new()).Take<T>((nint)(3 + tiles) * Block + Tile);
        T* p = memory, ds = p + Block, factors = ds + Block, turned = factors + Block, shares = turned + (nint)tiles * Block;
        for (var head = keyHead * _queriesPerKey; head < (keyHead + 1) * _queriesPerKey; head++)
        {
            var mask = dropout.Of(head);
            for (var tile = 0; tile < tiles; tile++)
            {
                if (head == keyHead * _queriesPerKey && tile + 1 < tiles)
                    Prefetch(tile + 1, keyHead, [qkv, gradientQkv], [output, gradient]);
                var at = head * _size * Tile;
                T* queries = qkv[tile] + at, g = gradient[tile] + at;
                Shares(g, output[tile] + at, shares);
                for (var other = 0; other <= tile; other++)
                {
                    T* keys = qkv[other] + _keys + row, values = qkv[other] + _values + row, target = gradientQkv[other] + row;
                    if (mask.IsOn)
                    {
                        new Span<T>(p, Block).Fill(T.One);
                        mask.Apply<V, T>(Block, p, FirstScore(tile, tiles) + (uint)(other * Block));
                        Transposition.Compute(Tile, Tile, p, Tile, factors, Tile);
                    }
                    Weights((tile - other) * Tile, queries, g, keys, values, logSums[tile] + head * Tile, shares, mask.IsOn ? factors : null, p, ds);
                    Transposition.Compute(Tile, Tile, ds, Tile, turned + other * Block, Tile);
                    var adds = head > keyHead * _queriesPerKey || tile > other;
                    RegisterSums.Multiply<V, T>(_size, Tile, Tile, queries, Tile, 1, ds, Tile, target + _keys, Tile, adds);
                    RegisterSums.Multiply<V, T>(_size, Tile, Tile, g, Tile, 1, p, Tile, target + _values, Tile, adds);
                }
                RegisterSums.Multiply<V, T>(_size, Tile, Tile, qkv[0] + _keys + row, Tile, 1, turned, Tile, gradientQkv[tile] + at, Tile, accumulate: false, tile + 1, qkv.Step, Block);
            }
        }
    }

    /// <summary>Asks for a tile's rows of a key head and of its query heads: rows of a few kilobytes with others between are too short for the processor to foresee.</summary>
    private void Prefetch(int tile, int keyHead, ReadOnlySpan<Tiles<T>> ofAll, ReadOnlySpan<Tiles<T>> ofQueries)
    {
        var (row, queryRows) = (keyHead * _size * Tile, _queriesPerKey * _size);
        foreach (var x in ofAll)
        {
            TokenTile<T>.Prefetch(queryRows, x[tile] + row * _queriesPerKey);
            TokenTile<T>.Prefetch(_size, x[tile] + _keys + row);
            TokenTile<T>.Prefetch(_size, x[tile] + _values + row);
        }
        foreach (var x in ofQueries)
            TokenTile<T>.Prefetch(queryRows, x[tile] + row * _queriesPerKey);
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
                V.From(j - lane, V.Load(at), V.Create(T.NegativeInfinity)).Store(at);
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
                V e0 = Lanes.Exp2<V, T>(V.Load(at) - max0), e1 = Lanes.Exp2<V, T>(V.Load(at + lanes) - max1);
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
                logSums[lane] += T.CreateTruncating(Math.Log2(double.CreateTruncating(factors[lane])));
                factors[lane] = T.One / factors[lane];
            }
        }
    }

    /// <summary>p, the softmax's weights, and ds, the gradients by the scores, of a tile of queries for a tile of keys: (queries, tile), so that a register holds neighbouring keys.</summary>
    /// <param name="offset">From the first key to the first query.</param>
    /// <param name="queries">(size, tile).</param>
    /// <param name="g">The gradient by the queries' output, (size, tile).</param>
    /// <param name="keys">(size, tile).</param>
    /// <param name="values">(size, tile).</param>
    /// <param name="logs">Of the queries.</param>
    /// <param name="shares">Of the queries.</param>
    /// <param name="factors">Dropout's, (queries, tile), or null.</param>
    /// <param name="p">(queries, tile).</param>
    /// <param name="ds">(queries, tile).</param>
    private void Weights(int offset, T* queries, T* g, T* keys, T* values, T* logs, T* shares, T* factors, T* p, T* ds)
    {
        if (typeof(V) == typeof(Register512<T>))
            Weights<Register512<T>, Vector512<T>>(offset, queries, g, keys, values, logs, shares, factors, p, ds);
        else if (typeof(V) == typeof(Register256<T>))
            Weights<Register256<T>, Vector256<T>>(offset, queries, g, keys, values, logs, shares, factors, p, ds);
        else
            Weights<Register128<T>, Vector128<T>>(offset, queries, g, keys, values, logs, shares, factors, p, ds);
    }

    /// <summary>The same for one width of registers.</summary>
    /// <remarks>
    /// Both products are summed side by side: what their sums need after them hides behind those of the next two queries. The number of instructions is what bounds
    /// this: so one index for all that is read, and .NET's own type of a register (<see cref="RegisterSums"/>).
    /// </remarks>
    private void Weights<R, TVector>(int offset, T* queries, T* g, T* keys, T* values, T* logs, T* shares, T* factors, T* p, T* ds)
        where R : unmanaged, IRegister<R, T>, IVector<R, TVector, T> where TVector : struct
    {
        var end = (nint)_size * Tile;
        for (nint i = 0; i < Tile; i += 2)
        {
            for (nint lane = 0; lane < Tile; lane += 2 * R.Count)
            {
                TVector s00 = default, s01 = default, s10 = default, s11 = default, d00 = default, d01 = default, d10 = default, d11 = default;
                T* q = queries + i, by = g + i, k = keys + lane, v = values + lane;
                for (nint f = 0; f < end; f += Tile)
                {
                    TVector k0 = R.LoadVector(k + f), k1 = R.LoadVector(k + f + R.Count), q0 = R.CreateVector(q[f]), q1 = R.CreateVector(q[f + 1]);
                    s00 = R.MultiplyAddVectors(q0, k0, s00);
                    s01 = R.MultiplyAddVectors(q0, k1, s01);
                    s10 = R.MultiplyAddVectors(q1, k0, s10);
                    s11 = R.MultiplyAddVectors(q1, k1, s11);
                    TVector v0 = R.LoadVector(v + f), v1 = R.LoadVector(v + f + R.Count), g0 = R.CreateVector(by[f]), g1 = R.CreateVector(by[f + 1]);
                    d00 = R.MultiplyAddVectors(g0, v0, d00);
                    d01 = R.MultiplyAddVectors(g0, v1, d01);
                    d10 = R.MultiplyAddVectors(g1, v0, d10);
                    d11 = R.MultiplyAddVectors(g1, v1, d11);
                }
                var at = i * Tile + lane;
                var seen = offset + (int)(i - lane) + 1; // keys from the first of these on
                Weight(seen, R.Of(s00), R.Of(d00), logs + i, shares + i, factors, p, ds, at);
                Weight(seen - R.Count, R.Of(s01), R.Of(d01), logs + i, shares + i, factors, p, ds, at + R.Count);
                Weight(seen + 1, R.Of(s10), R.Of(d10), logs + i + 1, shares + i + 1, factors, p, ds, at + Tile);
                Weight(seen + 1 - R.Count, R.Of(s11), R.Of(d11), logs + i + 1, shares + i + 1, factors, p, ds, at + Tile + R.Count);
            }
        }
    }

    /// <summary>The same of one register, once its products are summed up; keys from a lane on come after the query, which does not see them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Weight<R>(int seen, R score, R byWeight, T* log, T* share, T* factors, T* p, T* ds, nint at) where R : unmanaged, IRegister<R, T>
    {
        var weight = Lanes.Exp2<R, T>(score - R.Create(*log));
        if (seen < R.Count)
            weight = R.From(seen, default, weight);
        var kept = weight;
        if (factors != null)
        {
            kept *= R.Load(factors + at);
            byWeight *= R.Load(factors + at);
        }
        kept.Store(p + at);
        (weight * (byWeight - R.Create(*share))).Store(ds + at);
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
