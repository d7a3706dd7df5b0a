using LlamaFullstack.Core;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>The forward pass of Llama 2: a token and its position in, a score for every possible next token out.</summary>
/// <remarks>
/// Knows tokens as numbers, not as text. Not thread-safe: one sequence at a time. Nothing is allocated per token.
/// Every worker thread runs <see cref="RunPart"/> from top to bottom: rows of matrices and heads are divided among them, whatever is
/// short is computed by each for itself, and they wait for each other where one needs what another computed.
/// </remarks>
public sealed unsafe class Transformer : IDisposable
{
    /// <summary>Tokens that are taken in at once; a longer prompt is cut into as many.</summary>
    public const int BatchSize = PromptBatch.Capacity;

    // A batch computes whole tiles of tokens: below this, one by one is as fast.
    private const int SmallestBatch = 4;

    private readonly LlamaModel _model;
    private readonly bool _mayBatch;
    private readonly KernelSet _kernels;
    private readonly WorkerPool _pool;
    private readonly NativeBuffers _buffers = new();
    private readonly KvCache _cache;
    private readonly Worker[] _workers;
    private readonly Action<int> _runPart;

    // Shared between workers: each writes its own rows.
    private readonly float* _x;         // (dim) the residual stream
    private readonly float* _q;         // (dim) queries
    private readonly float* _k;         // (kv_dim) keys of this position
    private readonly float* _v;         // (kv_dim) values of this position
    private readonly float* _attended;  // (dim) what the heads found
    private readonly float* _gate;      // (hidden_dim) w1 · x
    private readonly float* _up;        // (hidden_dim) w3 · x
    private readonly float* _hidden;    // (hidden_dim) silu(gate) · up
    private readonly float* _delta;     // (dim) what a sublayer adds to the residual stream
    private readonly float* _logits;    // (vocab_size)

    // RoPE: this position's angles for a whole row of heads.
    private readonly RopeAngles _angles;
    private readonly float* _cos;           // (dim)
    private readonly float* _sin;           // (dim), negated at even places

    private PromptBatch? _batch;            // made when a prompt comes
    private readonly Action<int> _classifyPart;

    private int _pos;
    private bool _wantLogits;
    private bool _disposed;

    /// <summary>Prepares to run a model from its first position.</summary>
    /// <param name="model">Must outlive this.</param>
    /// <param name="options">Threads and kernels; null for what suits the model and the processor.</param>
    /// <exception cref="ArgumentException">The environment asks for kernels that there are not.</exception>
    /// <exception cref="InvalidDataException">The model's context is too long for this machine's memory.</exception>
    public Transformer(LlamaModel model, EngineOptions? options = null)
    {
        _model = model;
        var strict = options?.Strict == true;
        _kernels = strict ? KernelSets.Strict : options?.Kernels ?? KernelSets.Select();
        _mayBatch = options?.BatchPrompts != false && !strict && PromptBatch.CanRun(model);
        var workers = options?.Threads ?? ThreadCount.For(model.WeightBytesPerToken);
        var c = model.Config;
        try
        {
            _x = Floats(c.Dim);
            _q = Floats(c.Dim);
            _k = Floats(c.KvDim);
            _v = Floats(c.KvDim);
            _attended = Floats(c.Dim);
            _gate = Floats(c.HiddenDim);
            _up = Floats(c.HiddenDim);
            _hidden = Floats(c.HiddenDim);
            _delta = Floats(c.Dim);
            _logits = Floats(c.VocabSize);
            _cos = Floats(c.Dim);
            _sin = Floats(c.Dim);
            _cache = new KvCache(c, _buffers);
            _workers = [.. Enumerable.Range(0, workers).Select(i => new Worker(model, i, workers, _attended, _hidden, _buffers))];
        }
        catch (OutOfMemoryException)
        {
            _buffers.Dispose();
            throw new InvalidDataException($"{model.Path}: no memory for the keys and values of {c.MaxSeqLen:N0} positions in {c.NLayers} layers.");
        }
        _angles = new RopeAngles(strict ? RopeAngles.FrequenciesOfC(c) : RopeTable.Frequencies(c));
        (_runPart, _classifyPart) = (RunPart, ClassifyPart);
        _pool = new WorkerPool(workers);
    }

    /// <summary>The model that runs.</summary>
    public LlamaModel Model => _model;

    /// <summary>The kernels that are used.</summary>
    public KernelSet Kernels => _kernels;

    /// <summary>Threads that are used, the caller's included.</summary>
    public int Threads => _pool.Workers;

    /// <summary>Computes the logits of the token after this one.</summary>
    /// <param name="token">The token at <paramref name="pos"/>.</param>
    /// <param name="pos">Its position. All positions before it must have been computed; going back overwrites what came later.</param>
    /// <returns>(vocab_size); valid until the next call.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The token is not in the vocabulary, or the position not in the context.</exception>
    public ReadOnlySpan<float> Forward(int token, int pos)
    {
        Run(token, pos, wantLogits: true);
        return new ReadOnlySpan<float>(_logits, _model.Config.VocabSize);
    }

    /// <summary>Takes in a token whose successor is known: the same without the classifier.</summary>
    /// <inheritdoc cref="Forward(int, int)"/>
    public void Accept(int token, int pos) => Run(token, pos, wantLogits: false);

    /// <summary>Takes in tokens at consecutive positions, many at once.</summary>
    /// <param name="tokens">At least one; any number that the context has room for.</param>
    /// <param name="pos">The first one's position; see <see cref="Forward(int, int)"/>.</param>
    /// <returns>The logits after the last one, (vocab_size); valid until the next call.</returns>
    /// <exception cref="ArgumentException">There are no tokens.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A token is not in the vocabulary, or a position not in the context.</exception>
    /// <remarks>
    /// The same numbers as one by one up to rounding, since sums are taken in another order. Costs less from a handful of tokens on: the weights
    /// are read once for <see cref="BatchSize"/> of them.
    /// </remarks>
    public ReadOnlySpan<float> Forward(ReadOnlySpan<int> tokens, int pos)
    {
        if (tokens.IsEmpty)
            throw new ArgumentException("there are no tokens; at least one is needed.", nameof(tokens));
        for (; tokens.Length > BatchSize; tokens = tokens[BatchSize..], pos += BatchSize)
            Accept(tokens[..BatchSize], pos);
        if (!IsBatch(tokens))
        {
            Accept(tokens[..^1], pos);
            return Forward(tokens[^1], pos + tokens.Length - 1);
        }
        Accept(tokens, pos);
        _batch!.CopyStream(tokens.Length - 1, _x);
        _pool.Run(_classifyPart);
        return new ReadOnlySpan<float>(_logits, _model.Config.VocabSize);
    }

    /// <summary>Takes in tokens whose successors are known.</summary>
    /// <inheritdoc cref="Forward(ReadOnlySpan{int}, int)"/>
    public void Accept(ReadOnlySpan<int> tokens, int pos)
    {
        for (; tokens.Length > BatchSize; tokens = tokens[BatchSize..], pos += BatchSize)
            Accept(tokens[..BatchSize], pos);
        if (IsBatch(tokens))
        {
            RunBatch(tokens, pos);
            return;
        }
        foreach (var token in tokens)
            Accept(token, pos++);
    }

    /// <summary>The logits after every one of some tokens.</summary>
    /// <param name="tokens">At most <see cref="BatchSize"/>.</param>
    /// <param name="pos">The first one's position; see <see cref="Forward(int, int)"/>.</param>
    /// <param name="logits">(tokens, vocab_size).</param>
    /// <inheritdoc cref="Forward(ReadOnlySpan{int}, int)"/>
    public void ForwardAll(ReadOnlySpan<int> tokens, int pos, Span<float> logits)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tokens.Length, BatchSize);
        var vocabSize = _model.Config.VocabSize;
        ArgumentOutOfRangeException.ThrowIfNotEqual(logits.Length, tokens.Length * vocabSize);
        if (IsBatch(tokens))
        {
            RunBatch(tokens, pos);
            _batch!.Classify(logits);
            return;
        }
        for (var i = 0; i < tokens.Length; i++)
            Forward(tokens[i], pos + i).CopyTo(logits[(i * vocabSize)..]);
    }

    /// <summary>Ends the threads and frees the memory. The model stays open.</summary>
    public void Dispose()
    {
        _disposed = true;
        _pool.Dispose();
        _batch?.Dispose();
        _buffers.Dispose();
    }

    private bool IsBatch(ReadOnlySpan<int> tokens) => tokens.Length >= SmallestBatch && _mayBatch;

    private void RunBatch(ReadOnlySpan<int> tokens, int pos)
    {
        for (var i = 0; i < tokens.Length; i++)
            Check(tokens[i], pos + i);
        _batch ??= new PromptBatch(_model, _kernels, _pool, _cache, _angles);
        _batch.Run(tokens, pos);
    }

    private void Check(int token, int pos)
    {
        ObjectDisposedException.ThrowIf(_disposed || _model.IsDisposed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(token);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(token, _model.Config.VocabSize);
        ArgumentOutOfRangeException.ThrowIfNegative(pos);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(pos, _model.Config.MaxSeqLen);
    }

    private void Run(int token, int pos, bool wantLogits)
    {
        var c = _model.Config;
        Check(token, pos);

        _model.Embedding.ReadRow(token, new Span<float>(_x, c.Dim));
        TurnTo(pos);
        (_pos, _wantLogits) = (pos, wantLogits);
        _pool.Run(_runPart);
    }

    /// <summary>One worker's part of the forward pass.</summary>
    private void RunPart(int worker)
    {
        var me = _workers[worker];
        for (var l = 0; l < _model.Layers.Length; l++)
        {
            var layer = _model.Layers[l];

            // x += wo · attention(norm(x))
            Normalize(layer.AttentionNorm, layer.Wq, me);
            layer.Wq.Multiply(_kernels, me.Normed, _q, me.Dim);
            layer.Wk.Multiply(_kernels, me.Normed, _k, me.KvDim);
            layer.Wv.Multiply(_kernels, me.Normed, _v, me.KvDim);
            Rotate(_q, me.Dim);
            Rotate(_k, me.KvDim);
            _cache.Store(l, _pos, _k, _v, me.KvDim);
            _pool.Barrier(worker);

            for (var head = me.Heads.Start; head < me.Heads.End; head++)
                Attend(l, head, me.Scores);
            _pool.Barrier(worker);

            layer.Wo.Prepare(_kernels, me.Attended);
            layer.Wo.Multiply(_kernels, me.Attended, _delta, me.Dim);
            AddDelta(me.Dim);
            _pool.Barrier(worker);

            // x += w2 · (silu(w1 · norm(x)) · (w3 · norm(x)))
            Normalize(layer.FfnNorm, layer.W1, me);
            layer.W1.Multiply(_kernels, me.Normed, _gate, me.HiddenDim);
            layer.W3.Multiply(_kernels, me.Normed, _up, me.HiddenDim);
            _kernels.SwiGlu(_gate + me.HiddenDim.Start, _up + me.HiddenDim.Start, _hidden + me.HiddenDim.Start, me.HiddenDim.Count);
            _pool.Barrier(worker);

            layer.W2.Prepare(_kernels, me.Hidden);
            layer.W2.Multiply(_kernels, me.Hidden, _delta, me.Dim);
            AddDelta(me.Dim);
            _pool.Barrier(worker);
        }

        if (_wantLogits)
            ClassifyPart(worker);
    }

    private void ClassifyPart(int worker)
    {
        var me = _workers[worker];
        Normalize(_model.Norm, _model.Classifier, me);
        _model.Classifier.Multiply(_kernels, me.Normed, _logits, me.VocabSize);
    }

    /// <summary>The worker's own norm(x), in the form that <paramref name="next"/> multiplies with.</summary>
    private void Normalize(float* weight, WeightMatrix next, Worker me)
    {
        _kernels.RmsNorm(weight, _x, me.Normed.Values, _model.Config.Dim, _model.Config.NormEps);
        next.Prepare(_kernels, me.Normed);
    }

    /// <summary>What one head finds at all positions up to this one: softmax(q · keys / sqrt(head_size)) · values.</summary>
    private void Attend(int layer, int head, float* scores)
    {
        var c = _model.Config;
        var kvHead = head / (c.NHeads / c.NKvHeads);
        var count = _pos + 1;
        _kernels.AttentionScores(_q + head * c.HeadSize, _cache.Keys(layer, kvHead), scores, count, c.HeadSize);
        _kernels.Softmax(scores, count);
        _kernels.AttentionSum(scores, _cache.Values(layer, kvHead), _attended + head * c.HeadSize, count, c.HeadSize);
    }

    private void AddDelta(Part rows) => _kernels.Add(_x + rows.Start, _delta + rows.Start, rows.Count);

    private void Rotate(float* row, Part rows) => _kernels.Rope(row + rows.Start, _cos + rows.Start, _sin + rows.Start, rows.Count);

    /// <summary>RoPE's angles at a position, repeated for every head.</summary>
    private void TurnTo(int pos)
    {
        var headSize = _model.Config.HeadSize;
        for (var pair = 0; pair < _angles.Pairs; pair++)
        {
            var (sin, cos) = _angles.At(pos, pair);
            _cos[2 * pair] = _cos[2 * pair + 1] = cos;
            _sin[2 * pair] = -sin;
            _sin[2 * pair + 1] = sin;
        }
        for (var i = headSize; i < _model.Config.Dim; i++)
            (_cos[i], _sin[i]) = (_cos[i - headSize], _sin[i - headSize]);
    }

    private float* Floats(int count) => _buffers.Allocate<float>(count);

    /// <summary>What one worker has for itself: its share of rows and heads, and room for what every worker computes alone.</summary>
    private sealed class Worker(LlamaModel model, int index, int workers, float* attended, float* hidden, NativeBuffers buffers)
    {
        public Part Dim { get; } = Part.OfRows(model.Config.Dim, index, workers);

        public Part KvDim { get; } = Part.OfRows(model.Config.KvDim, index, workers);

        public Part HiddenDim { get; } = Part.OfRows(model.Config.HiddenDim, index, workers);

        public Part VocabSize { get; } = Part.OfRows(model.Config.VocabSize, index, workers);

        public Part Heads { get; } = Part.Of(model.Config.NHeads, index, workers, block: 1);

        /// <summary>norm(x), (dim).</summary>
        public Activation Normed { get; } = new(buffers.Allocate<float>(model.Config.Dim), model.Config.Dim, model.GroupSize, buffers);

        /// <summary>The shared result of all heads, with an int8 form of its own, (dim).</summary>
        public Activation Attended { get; } = new(attended, model.Config.Dim, model.GroupSize, buffers);

        /// <summary>The shared hidden state, with an int8 form of its own, (hidden_dim).</summary>
        public Activation Hidden { get; } = new(hidden, model.Config.HiddenDim, model.GroupSize, buffers);

        /// <summary>Attention scores of one head, (seq_len) in whole key blocks.</summary>
        public float* Scores { get; } = buffers.Allocate<float>(KvCache.RoundUp(model.Config.MaxSeqLen));
    }
}
