using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using LlamaFullstack.Core;

namespace LlamaFullstack.Training.Kernels;

/// <summary>
/// Causal self-attention with rotary positions of one sequence and one key head, forward and backward: what autograd would split into
/// some thirty operations. A register holds one feature or one score of 16 neighbouring queries; the scores of a tile of queries stay
/// in the core's cache. Knows nothing about torch.
/// </summary>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
/// <remarks>
/// With s = q · k / sqrt(head_size), p = softmax(s) and o = p · v, the gradients of a loss whose gradient by o is g are
/// dv = pᵀ · g, ds = p ∘ (g · vᵀ - rowsum(g ∘ o)), dq = ds · k / sqrt(head_size) and dk = dsᵀ · q / sqrt(head_size). p is computed again
/// from the logarithm of each softmax's sum, which is all that the forward pass keeps (Dao et al., FlashAttention, 2022).
/// </remarks>
internal sealed unsafe class AttentionKernel<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private static readonly int Tile = 2 * Vector512<T>.Count; // queries at a time

    private readonly LlamaConfig _config;
    private readonly int _padded; // head_size, filled up to whole registers
    private readonly T[] _cos; // (max_seq_len, head_size / 2)
    private readonly T[] _sin;

    public AttentionKernel(LlamaConfig config, ReadOnlySpan<T> cos, ReadOnlySpan<T> sin)
    {
        _config = config;
        var lanes = Vector512<T>.Count;
        _padded = (config.HeadSize + lanes - 1) / lanes * lanes;
        _cos = cos.ToArray();
        _sin = sin.ToArray();
    }

    /// <summary>Length of a row of queries, keys and values: one token.</summary>
    private int RowLength => _config.Dim + 2 * _config.KvDim;

    private int QueriesPerKey => _config.NHeads / _config.NKvHeads;

    /// <summary>Attends, for all query heads of one key head.</summary>
    /// <param name="time">Tokens.</param>
    /// <param name="keyHead">Which.</param>
    /// <param name="qkv">The sequence's queries, keys and values, (time, dim + 2 · kv_dim).</param>
    /// <param name="output">(time, dim); the columns of the query heads are written.</param>
    /// <param name="logSums">(heads, time): of each softmax the logarithm of its sum.</param>
    /// <param name="dropout">Of the softmax's weights, head by head.</param>
    public void Forward(int time, int keyHead, T* qkv, T* output, T* logSums, DropoutMask dropout)
    {
        var size = _config.HeadSize;
        var values = qkv + _config.Dim + _config.KvDim + keyHead * size;
        using var memory = new Scratch(time * size + 2 * size * Tile + time * Tile);
        var keys = memory.Take(time * size);
        var queries = memory.Take(size * Tile);
        var mixed = memory.Take(size * Tile);
        var scores = memory.Take(time * Tile);
        RotateKeys(time, keyHead, qkv, keys);
        for (var head = keyHead * QueriesPerKey; head < (keyHead + 1) * QueriesPerKey; head++)
        {
            var mask = dropout.Of(head);
            for (var first = 0; first < time; first += Tile)
            {
                var seen = Math.Min(time, first + Tile);
                LoadQueries(time, first, head, qkv, queries);
                MatrixProduct.Compute<Register512<T>, T>(seen, size, Tile, keys, size, 1, queries, Tile, scores, Tile, accumulate: false);
                Softmax(seen, first, scores, logSums + (nint)head * time + first, Math.Min(Tile, time - first));
                mask.Apply<Register512<T>, T>((nint)seen * Tile, scores, FirstScore(first, time));
                MatrixProduct.Compute<Register512<T>, T>(size, seen, Tile, values, 1, RowLength, scores, Tile, mixed, Tile, accumulate: false);
                Transposition.Compute(size, Math.Min(Tile, time - first), mixed, Tile, output + (nint)first * _config.Dim + head * size, _config.Dim);
            }
        }
    }

    /// <summary>Takes the gradient back, for all query heads of one key head.</summary>
    /// <param name="time">Tokens.</param>
    /// <param name="keyHead">Which.</param>
    /// <param name="qkv">As in the forward pass.</param>
    /// <param name="output">What that gave.</param>
    /// <param name="logSums">What that kept.</param>
    /// <param name="gradient">By the output, (time, dim).</param>
    /// <param name="gradientQkv">By the queries, keys and values; the columns of these heads are written.</param>
    /// <param name="dropout">As in the forward pass.</param>
    public void Backward(int time, int keyHead, T* qkv, T* output, T* logSums, T* gradient, T* gradientQkv, DropoutMask dropout)
    {
        var size = _config.HeadSize;
        var values = qkv + _config.Dim + _config.KvDim + keyHead * size;
        using var memory = new Scratch(time * (size + 2 * _padded) + Tile * (3 * size + 2 * _padded + 2) + 2 * time * Tile);
        var keys = memory.Take(time * size);
        T* keyGradient = memory.Take(time * _padded), valueGradient = memory.Take(time * _padded);
        T* queries = memory.Take(size * Tile), queryRows = memory.Take(Tile * _padded);
        T* gradients = memory.Take(size * Tile), gradientRows = memory.Take(Tile * _padded);
        T* queryGradient = memory.Take(size * Tile), shares = memory.Take(Tile), logs = memory.Take(Tile);
        T* p = memory.Take(time * Tile), ds = memory.Take(time * Tile);
        RotateKeys(time, keyHead, qkv, keys);
        new Span<T>(keyGradient, time * _padded).Clear();
        new Span<T>(valueGradient, time * _padded).Clear();
        for (var head = keyHead * QueriesPerKey; head < (keyHead + 1) * QueriesPerKey; head++)
        {
            var mask = dropout.Of(head);
            for (var first = 0; first < time; first += Tile)
            {
                var (seen, count) = (Math.Min(time, first + Tile), Math.Min(Tile, time - first));
                var at = (nint)first * _config.Dim + head * size;
                LoadQueries(time, first, head, qkv, queries);
                LoadTransposed(count, gradient + at, gradients);
                TransposeToRows(queries, queryRows);
                TransposeToRows(gradients, gradientRows);
                for (var lane = 0; lane < Tile; lane++)
                {
                    logs[lane] = lane < count ? logSums[(nint)head * time + first + lane] : T.Zero;
                    shares[lane] = lane < count ? Dot(gradient + at + (nint)lane * _config.Dim, output + at + (nint)lane * _config.Dim, size) : T.Zero;
                }
                MatrixProduct.Compute<Register512<T>, T>(seen, size, Tile, keys, size, 1, queries, Tile, p, Tile, accumulate: false);
                MatrixProduct.Compute<Register512<T>, T>(seen, size, Tile, values, RowLength, 1, gradients, Tile, ds, Tile, accumulate: false);
                mask.Apply<Register512<T>, T>((nint)seen * Tile, ds, FirstScore(first, time));
                SoftmaxBackward(seen, first, p, ds, logs, shares);
                mask.Apply<Register512<T>, T>((nint)seen * Tile, p, FirstScore(first, time));
                MatrixProduct.Compute<Register512<T>, T>(size, seen, Tile, keys, 1, size, ds, Tile, queryGradient, Tile, accumulate: false);
                MatrixProduct.Compute<Register512<T>, T>(seen, Tile, _padded, ds, Tile, 1, queryRows, _padded, keyGradient, _padded, accumulate: true);
                MatrixProduct.Compute<Register512<T>, T>(seen, Tile, _padded, p, Tile, 1, gradientRows, _padded, valueGradient, _padded, accumulate: true);
                StoreQueryGradient(first, count, queryGradient, gradientQkv + (nint)first * RowLength + head * size);
            }
        }
        var keyColumn = _config.Dim + keyHead * size;
        for (var t = 0; t < time; t++)
        {
            var row = gradientQkv + (nint)t * RowLength + keyColumn;
            Turn(t, keyGradient + (nint)t * _padded, 1, row, 1, T.One, back: true);
            new Span<T>(valueGradient + (nint)t * _padded, size).CopyTo(new Span<T>(row + _config.KvDim, size));
        }
    }

    /// <summary>Where the scores of a tile of queries begin among those of a head, for dropout.</summary>
    private static uint FirstScore(int first, int time) => (uint)(first * ((time + Tile - 1) / Tile * Tile));

    private T Scale => T.One / T.Sqrt(T.CreateTruncating(_config.HeadSize));

    /// <summary>Turns each pair of features by its angle at a position, or back, and multiplies it.</summary>
    private void Turn(int position, T* from, int fromStep, T* to, int toStep, T factor, bool back)
    {
        var pairs = _config.HeadSize / 2;
        for (var i = 0; i < pairs; i++)
        {
            var (cos, sin) = (_cos[position * pairs + i] * factor, _sin[position * pairs + i] * factor);
            if (back)
                sin = -sin;
            var (re, im) = (from[2 * i * fromStep], from[(2 * i + 1) * fromStep]);
            to[2 * i * toStep] = re * cos - im * sin;
            to[(2 * i + 1) * toStep] = re * sin + im * cos;
        }
    }

    private void RotateKeys(int time, int keyHead, T* qkv, T* keys)
    {
        for (var t = 0; t < time; t++)
            Turn(t, qkv + (nint)t * RowLength + _config.Dim + keyHead * _config.HeadSize, 1, keys + (nint)t * _config.HeadSize, 1, T.One, back: false);
    }

    /// <summary>A tile of queries, turned and divided by sqrt(head_size), as (head_size, tile); 0 after the last token.</summary>
    private void LoadQueries(int time, int first, int head, T* qkv, T* queries)
    {
        var scale = Scale;
        if (first + Tile > time)
            new Span<T>(queries, _config.HeadSize * Tile).Clear();
        for (var t = first; t < Math.Min(time, first + Tile); t++)
            Turn(t, qkv + (nint)t * RowLength + head * _config.HeadSize, 1, queries + t - first, Tile, scale, back: false);
    }

    private void StoreQueryGradient(int first, int count, T* gradient, T* to)
    {
        var scale = Scale;
        for (var lane = 0; lane < count; lane++)
            Turn(first + lane, gradient + lane, Tile, to + (nint)lane * RowLength, 1, scale, back: true);
    }

    private void LoadTransposed(int count, T* rows, T* tile)
    {
        if (count < Tile)
            new Span<T>(tile, _config.HeadSize * Tile).Clear();
        Transposition.Compute(count, _config.HeadSize, rows, _config.Dim, tile, Tile);
    }

    /// <summary>(head_size, tile) to (tile, padded).</summary>
    private void TransposeToRows(T* tile, T* rows)
    {
        new Span<T>(rows, Tile * _padded).Clear();
        Transposition.Compute(_config.HeadSize, Tile, tile, Tile, rows, _padded);
    }

    private static T Dot(T* a, T* b, int length)
    {
        var sum = T.Zero;
        for (var i = 0; i < length; i++)
            sum += a[i] * b[i];
        return sum;
    }

    /// <summary>Scores (seen, tile) to weights that sum to 1 for each query; a query sees the keys up to its own.</summary>
    private static void Softmax(int seen, int first, T* scores, T* logSums, int count)
    {
        var lanes = Vector512<T>.Count;
        for (var half = 0; half < Tile; half += lanes)
        {
            var max = Vector512.Create(T.NegativeInfinity);
            for (var j = 0; j < seen; j++)
            {
                var at = scores + (nint)j * Tile + half;
                var s = Vector512.Load(at);
                if (j > first + half)
                {
                    s = Vector512.ConditionalSelect(Seen(j - first - half), s, Vector512.Create(T.NegativeInfinity));
                    Vector512.Store(s, at);
                }
                max = Vector512.MaxNative(max, s);
            }
            var sum = Vector512<T>.Zero;
            for (var j = 0; j < seen; j++)
            {
                var at = scores + (nint)j * Tile + half;
                var e = Lanes.Exp(Vector512.Load(at) - max);
                Vector512.Store(e, at);
                sum += e;
            }
            var factor = Vector512<T>.One / sum;
            for (var j = 0; j < seen; j++)
            {
                var at = scores + (nint)j * Tile + half;
                Vector512.Store(Vector512.Load(at) * factor, at);
            }
            for (var lane = 0; lane < lanes && half + lane < count; lane++)
                logSums[half + lane] = max[lane] + T.Log(sum[lane]);
        }
    }

    /// <summary>p: scores to the softmax's weights. ds: gradients by the weights to gradients by the scores.</summary>
    private static void SoftmaxBackward(int seen, int first, T* p, T* ds, T* logs, T* shares)
    {
        var lanes = Vector512<T>.Count;
        for (var half = 0; half < Tile; half += lanes)
        {
            var (log, share) = (Vector512.Load(logs + half), Vector512.Load(shares + half));
            for (var j = 0; j < seen; j++)
            {
                var at = (nint)j * Tile + half;
                var weight = Lanes.Exp(Vector512.Load(p + at) - log);
                if (j > first + half)
                    weight = Vector512.ConditionalSelect(Seen(j - first - half), weight, Vector512<T>.Zero);
                Vector512.Store(weight, p + at);
                Vector512.Store(weight * (Vector512.Load(ds + at) - share), ds + at);
            }
        }
    }

    /// <summary>The lanes from the given one on.</summary>
    private static Vector512<T> Seen(int lane) =>
        Vector512.GreaterThanOrEqual(Vector512.CreateSequence(T.Zero, T.One), Vector512.Create(T.CreateTruncating(lane)));

    /// <summary>Memory of one call, in pieces that begin at cache lines.</summary>
    private ref struct Scratch(int length)
    {
        private const int Line = 64;
        private const int Pieces = 16;
        private readonly void* _memory = NativeMemory.AlignedAlloc((nuint)length * (nuint)sizeof(T) + Pieces * Line, Line);
        private nint _taken;

        public T* Take(int count)
        {
            var piece = (byte*)_memory + _taken;
            _taken += ((nint)count * sizeof(T) + Line - 1) / Line * Line;
            return (T*)piece;
        }

        public readonly void Dispose() => NativeMemory.AlignedFree(_memory);
    }
}
