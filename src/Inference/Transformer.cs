using LlamaFullstack.Core;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>The forward pass of Llama 2: a token and its position in, a score for every possible next token out.</summary>
/// <remarks>
/// Knows tokens as numbers, not as text. Not thread-safe: one sequence at a time. Nothing is allocated per token.
/// Every worker thread goes through the steps of <see cref="RunLayers"/>: rows of matrices and heads are cut into pieces which they share, whatever
/// is short is computed by each for itself, and a step begins when all pieces of the one before are done (<see cref="SharedPieces"/>).
/// </remarks>
public sealed unsafe class Transformer : IDisposable
{
    /// <summary>Tokens that are taken in at once; a longer prompt is cut into as many.</summary>
    public const int BatchSize = PromptBatch.Capacity;

    // A batch computes whole tiles of tokens: below this, one by one is as fast.
    private const int SmallestBatch = 4;

    // Keys of so many positions stay in the first cache while several heads need them: whole key blocks.
    private const int PositionsAtOnce = 8 * KernelSet.KeyBlock;

    private readonly LlamaModel _model;
    private readonly bool _mayBatch;
    private readonly KernelSet _kernels;
    private readonly WorkerPool _pool;          // for batches
    private readonly WorkerPool _decoders;      // for single tokens; the same threads unless there are more than a token can use
    private readonly NativeBuffers _buffers = new();
    private readonly KvCache _cache;
    private readonly Worker[] _workers;
    private readonly Action<int> _accept;
    private readonly Action<int> _forward;
    private readonly Action<int> _classify;

    // Shared between workers: the results that were kept.
    private readonly float* _x;         // (dim) the residual stream
    private readonly float* _q;         // (dim) queries
    private readonly float* _attended;  // (dim) what the heads found
    private readonly float* _hidden;    // (hidden_dim) silu(w1 · x) · (w3 · x)
    private readonly float* _logits;    // (vocab_size)

    // Pieces of each step for each worker.
    private readonly int _projections, _heads, _outputs, _gates, _downs, _classes;

    // RoPE: this position's angles for a whole row of heads.
    private readonly RopeAngles _angles;
    private readonly float* _cos;           // (dim)
    private readonly float* _sin;           // (dim), negated at even places

    private PromptBatch? _batch;            // made when a prompt comes

    private int _pos;
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
        var threads = options?.Threads ?? ThreadCount.For(model.WeightBytesPerToken);
        var workers = Math.Min(threads, ThreadCount.Useful(model.WeightBytesPerToken));
        var c = model.Config;
        // A step has the same pieces in every layer; where their types differ, those of the average layer.
        int PerWorker(int rows, double bytes) => SharedPieces.PerWorker(rows / KernelSet.RowBlock, bytes, workers);
        int PerWorkerInALayer(int rows, Func<Layer, long> bytes) => PerWorker(rows, (double)model.SumOfLayers(bytes) / c.NLayers);
        _projections = PerWorkerInALayer(c.Dim, layer => layer.QkvBytes);
        _heads = SharedPieces.PerWorker(c.NHeads, (double)c.MaxSeqLen * c.Dim * sizeof(float), workers); // the keys that every head reads at the last position
        _outputs = PerWorkerInALayer(c.Dim, layer => layer.Wo.Bytes);
        _gates = PerWorkerInALayer(c.HiddenDim, layer => layer.GateBytes);
        _downs = PerWorkerInALayer(c.Dim, layer => layer.W2.Bytes);
        _classes = PerWorker(c.VocabSize, model.Classifier.Bytes);
        try
        {
            _x = Floats(c.Dim);
            _q = Floats(c.Dim);
            _attended = Floats(c.Dim);
            _hidden = Floats(c.HiddenDim);
            _logits = Floats(c.VocabSize);
            _cos = Floats(c.Dim);
            _sin = Floats(c.Dim);
            _cache = new KvCache(c, _buffers);
            var pieces = new SharedPieces(workers);
            _workers = new Worker[workers];
            var classes = Part.OfRows(c.VocabSize, _classes * workers - 1, _classes * workers).Count; // the last piece is the largest
            for (var i = 0; i < workers; i++)
                _workers[i] = new Worker(model, new SharedPieces.Hand(pieces, i), _attended, _hidden, classes, _buffers);
        }
        catch (OutOfMemoryException)
        {
            _buffers.Dispose();
            throw new InvalidDataException($"{model.Path}: no memory for the keys and values of {c.MaxSeqLen:N0} positions in {c.NLayers} layers.");
        }
        _angles = new RopeAngles(strict ? RopeAngles.FrequenciesOfC(c) : RopeTable.Frequencies(c));
        (_accept, _forward, _classify) = (Accept, Forward, Classify);
        _pool = new WorkerPool(threads);
        _decoders = workers == threads ? _pool : new WorkerPool(workers);
    }

    /// <summary>The model that runs.</summary>
    public LlamaModel Model => _model;

    /// <summary>The kernels that are used.</summary>
    public KernelSet Kernels => _kernels;

    /// <summary>Threads that prompts are read with, the caller's included; a small model decodes on as few as it can keep busy.</summary>
    public int Threads => _pool.Workers;

    /// <summary>Those threads, for who measures what bounds them.</summary>
    internal WorkerPool Pool => _pool;

    /// <summary>Computes the logits of the token after this one.</summary>
    /// <param name="token">The token at <paramref name="pos"/>.</param>
    /// <param name="pos">Its position. All positions before it must have been computed; going back overwrites what came later.</param>
    /// <returns>(vocab_size); valid until the next call.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The token is not in the vocabulary, or the position not in the context.</exception>
    public ReadOnlySpan<float> Forward(int token, int pos)
    {
        Run(_forward, token, pos);
        return new ReadOnlySpan<float>(_logits, _model.Config.VocabSize);
    }

    /// <summary>Takes in a token whose successor is known: the same without the classifier.</summary>
    /// <inheritdoc cref="Forward(int, int)"/>
    public void Accept(int token, int pos) => Run(_accept, token, pos);

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
        _decoders.Offer(_classify);
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
        _decoders.Dispose();
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

    private void Run(Action<int> job, int token, int pos)
    {
        var c = _model.Config;
        Check(token, pos);

        _model.Embedding.ReadRow(token, new Span<float>(_x, c.Dim));
        TurnTo(pos);
        _pos = pos;
        _decoders.Offer(job);
    }

    // The three jobs: a token whose logits are not wanted, one whose are, and logits after a batch.
    private void Accept(int worker) => RunLayers(Begin(worker));

    private void Forward(int worker)
    {
        var me = Begin(worker);
        RunLayers(me);
        Classify(me);
    }

    private void Classify(int worker) => Classify(Begin(worker));

    private Worker Begin(int worker)
    {
        var me = _workers[worker];
        me.Hand.Begin(_decoders.RoundOf(worker));
        return me;
    }

    /// <summary>The forward pass up to the classifier, as one of several workers runs it.</summary>
    private void RunLayers(Worker me)
    {
        for (var l = 0; l < _model.Layers.Length; l++)
        {
            var layer = _model.Layers[l];

            // x += wo · attention(norm(x))
            while (me.Hand.TryTake(_projections, out var piece))
                Project(l, piece, me);
            while (me.Hand.TryTake(_heads, out var piece))
                Attend(l, piece, me);
            while (me.Hand.TryTake(_outputs, out var piece))
                AddProduct(layer.Wo, me.Attended, piece, _outputs, me);

            // x += w2 · (silu(w1 · norm(x)) · (w3 · norm(x)))
            while (me.Hand.TryTake(_gates, out var piece))
                Gate(layer, piece, me);
            while (me.Hand.TryTake(_downs, out var piece))
                AddProduct(layer.W2, me.Hidden, piece, _downs, me);
        }
    }

    private void Classify(Worker me)
    {
        while (me.Hand.TryTake(_classes, out var piece))
        {
            if (me.Hand.IsFirst)
                Normalize(_model.Norm, _model.Classifier, me);
            var rows = RowsOf(_model.Config.VocabSize, piece, _classes);
            var logits = me.Logits - rows.Start;
            _model.Classifier.Multiply(_kernels, me.Normed, logits, rows);
            if (!me.Hand.TryKeep(piece))
                continue;
            Copy(logits, _logits, rows);
            me.Hand.Keep(piece);
        }
    }

    /// <summary>Some rows of the queries, keys and values, turned to this position.</summary>
    private void Project(int l, int piece, Worker me)
    {
        var layer = _model.Layers[l];
        if (me.Hand.IsFirst)
            Normalize(layer.AttentionNorm, layer.Wq, me);
        var rows = RowsOf(_model.Config.Dim, piece, _projections);
        var kvRows = RowsOf(_model.Config.KvDim, piece, _projections);
        layer.Wq.Multiply(_kernels, me.Normed, me.Q, rows);
        layer.Wk.Multiply(_kernels, me.Normed, me.K, kvRows);
        layer.Wv.Multiply(_kernels, me.Normed, me.V, kvRows);
        Rotate(me.Q, rows);
        Rotate(me.K, kvRows);
        if (!me.Hand.TryKeep(piece))
            return;
        Copy(me.Q, _q, rows);
        _cache.Store(l, _pos, me.K, me.V, kvRows);
        me.Hand.Keep(piece);
    }

    /// <summary>What some heads find at all positions up to this one: softmax(q · keys / sqrt(head_size)) · values.</summary>
    private void Attend(int l, int piece, Worker me)
    {
        var c = _model.Config;
        var count = _pos + 1;
        var headsOfAKey = c.NHeads / c.NKvHeads;
        var atOnce = headsOfAKey == 1 ? count : PositionsAtOnce;
        nint stride = KvCache.RoundUp(c.MaxSeqLen);
        var heads = Part.Of(c.NHeads, piece, _heads * _workers.Length, block: 1);
        // The heads of a key take each step together, so that its keys, some positions at a time, and then its values come from memory once.
        for (int head = heads.Start, together; head < heads.End; head += together)
        {
            var kvHead = head / headsOfAKey;
            together = Math.Min((kvHead + 1) * headsOfAKey, heads.End) - head;
            for (var t = 0; t < count; t += atOnce)
                for (var i = 0; i < together; i++)
                    _kernels.AttentionScores(_q + (head + i) * c.HeadSize, _cache.Keys(l, kvHead) + (long)t * c.HeadSize, me.Scores + i * stride + t, Math.Min(atOnce, count - t), c.HeadSize);
            for (var i = 0; i < together; i++)
                _kernels.Softmax(me.Scores + i * stride, count);
            for (var i = 0; i < together; i++)
                _kernels.AttentionSum(me.Scores + i * stride, _cache.Values(l, kvHead), me.Found + (head + i) * c.HeadSize, count, c.HeadSize);
        }
        if (!me.Hand.TryKeep(piece))
            return;
        Copy(me.Found, _attended, new Part(heads.Start * c.HeadSize, heads.Count * c.HeadSize));
        me.Hand.Keep(piece);
    }

    /// <summary>Some rows of the feed-forward's hidden state.</summary>
    private void Gate(Layer layer, int piece, Worker me)
    {
        if (me.Hand.IsFirst)
            Normalize(layer.FfnNorm, layer.W1, me);
        var rows = RowsOf(_model.Config.HiddenDim, piece, _gates);
        layer.W1.Multiply(_kernels, me.Normed, me.Gate, rows);
        layer.W3.Multiply(_kernels, me.Normed, me.Up, rows);
        _kernels.SwiGlu(me.Gate + rows.Start, me.Up + rows.Start, me.Gated + rows.Start, rows.Count);
        if (!me.Hand.TryKeep(piece))
            return;
        Copy(me.Gated, _hidden, rows);
        me.Hand.Keep(piece);
    }

    /// <summary>Some rows of x += W · input.</summary>
    private void AddProduct(WeightMatrix w, Activation input, int piece, int perWorker, Worker me)
    {
        if (me.Hand.IsFirst)
            w.Prepare(_kernels, input);
        var rows = RowsOf(_model.Config.Dim, piece, perWorker);
        w.Multiply(_kernels, input, me.Delta, rows);
        if (!me.Hand.TryKeep(piece))
            return;
        _kernels.Add(_x + rows.Start, me.Delta + rows.Start, rows.Count);
        me.Hand.Keep(piece);
    }

    /// <summary>The worker's own norm(x), in the form that <paramref name="next"/> multiplies with.</summary>
    private void Normalize(float* weight, WeightMatrix next, Worker me)
    {
        _kernels.RmsNorm(weight, _x, me.Normed.Values, _model.Config.Dim, _model.Config.NormEps);
        next.Prepare(_kernels, me.Normed);
    }

    private Part RowsOf(int total, int piece, int perWorker) => Part.OfRows(total, piece, perWorker * _workers.Length);

    private static void Copy(float* from, float* to, Part rows) =>
        Buffer.MemoryCopy(from + rows.Start, to + rows.Start, rows.Count * sizeof(float), rows.Count * sizeof(float));

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

    /// <summary>What one worker has for itself: its place in the steps, what every worker computes alone, and its results until they are kept.</summary>
    private sealed class Worker(LlamaModel model, SharedPieces.Hand hand, float* attended, float* hidden, int classes, NativeBuffers buffers)
    {
        /// <summary>Takes pieces.</summary>
        public SharedPieces.Hand Hand { get; } = hand;

        /// <summary>norm(x), (dim).</summary>
        public Activation Normed { get; } = new(buffers.Allocate<float>(model.Config.Dim), model.Config.Dim, model.GroupSize, buffers);

        /// <summary>The shared result of all heads, with an int8 form of its own, (dim).</summary>
        public Activation Attended { get; } = new(attended, model.Config.Dim, model.GroupSize, buffers);

        /// <summary>The shared hidden state, with an int8 form of its own, (hidden_dim).</summary>
        public Activation Hidden { get; } = new(hidden, model.Config.HiddenDim, model.GroupSize, buffers);

        /// <summary>Attention scores of the heads that share a key, (n_heads / n_kv_heads, seq_len in whole key blocks).</summary>
        public float* Scores { get; } = buffers.Allocate<float>((long)(model.Config.NHeads / model.Config.NKvHeads) * KvCache.RoundUp(model.Config.MaxSeqLen));

        /// <summary>Queries, (dim).</summary>
        public float* Q { get; } = buffers.Allocate<float>(model.Config.Dim);

        /// <summary>Keys of this position, (kv_dim).</summary>
        public float* K { get; } = buffers.Allocate<float>(model.Config.KvDim);

        /// <summary>Values of this position, (kv_dim).</summary>
        public float* V { get; } = buffers.Allocate<float>(model.Config.KvDim);

        /// <summary>What heads found, (dim).</summary>
        public float* Found { get; } = buffers.Allocate<float>(model.Config.Dim);

        /// <summary>w1 · x, (hidden_dim).</summary>
        public float* Gate { get; } = buffers.Allocate<float>(model.Config.HiddenDim);

        /// <summary>w3 · x, (hidden_dim).</summary>
        public float* Up { get; } = buffers.Allocate<float>(model.Config.HiddenDim);

        /// <summary>silu(gate) · up, (hidden_dim).</summary>
        public float* Gated { get; } = buffers.Allocate<float>(model.Config.HiddenDim);

        /// <summary>What a sublayer adds to the residual stream, (dim).</summary>
        public float* Delta { get; } = buffers.Allocate<float>(model.Config.Dim);

        /// <summary>Logits of one piece, (classes): a whole vocabulary of them for each worker would be most of its memory.</summary>
        public float* Logits { get; } = buffers.Allocate<float>(classes);
    }
}
