using LlamaFullstack.Core;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>The forward pass for many tokens at once: the same steps as <see cref="Transformer"/>'s, on tiles of tokens side by side.</summary>
/// <remarks>
/// Reading a prompt token by token is bound by memory, since every token reads all weights. Here a weight that has been read is multiplied
/// with every token of the batch, so arithmetic is the bound. A lane of a register is a token: norms, rotations and softmax need no sums across a register.
/// A worker has a strip of tiles to itself, so that what it reads is what it wrote, but for keys and values: what another core wrote comes slowly.
/// Who is done helps the others. There are four strips at the most; where there are more workers, or few tiles, several share one.
/// </remarks>
internal sealed unsafe class PromptBatch : IDisposable
{
    /// <summary>Tokens of a batch. More read the weights less often, but leave the cache that their activations must stay in.</summary>
    public const int Capacity = 256;

    private const int LeastStrip = 64; // tokens; with fewer, weights would come from memory for them alone
    private const int EmbeddedRows = 4; // of the embedding at a time: a line of a tile is then not written token by token
    private const int StepsPerLayer = 9;

    private readonly LlamaModel _model;
    private readonly LlamaConfig _config;
    private readonly KernelSet _kernels;
    private readonly WorkerPool _pool;
    private readonly KvCache _cache;
    private readonly RopeAngles _angles;
    private readonly NativeBuffers _buffers = new();
    private readonly Worker[] _workers;
    private readonly SharedSteps _steps;
    private readonly Action<int> _runLayers;
    private readonly Action<int> _runClassifier;

    private readonly BatchActivation _x;        // (dim) the residual stream
    private readonly BatchActivation _normed;   // (dim) norm(x)
    private readonly BatchActivation _q;        // (dim) queries
    private readonly BatchActivation _attended; // (dim) what the heads found
    private readonly BatchActivation _hidden;   // (hidden_dim) silu(w1 · x) · (w3 · x)
    private readonly float* _cos;               // (tiles, head_size / 2, Tile)
    private readonly float* _sin;               // (tiles, head_size / 2, Tile)
    private readonly int[] _tokens = new int[Capacity];
    private BatchActivation? _logits;           // (vocab_size); only where all are asked for

    private int _pos;
    private int _count;
    private int _strips;
    private int _blockRows;

    public PromptBatch(LlamaModel model, KernelSet kernels, WorkerPool pool, KvCache cache, RopeAngles angles)
    {
        (_model, _config, _kernels, _pool, _cache, _angles) = (model, model.Config, kernels, pool, cache, angles);
        BatchActivation Features(int count, int groupSize = 0) => new(MaxTiles, count, groupSize, _buffers);
        _x = Features(_config.Dim);
        _normed = Features(_config.Dim, model.GroupSize);
        _q = Features(_config.Dim);
        _attended = Features(_config.Dim, model.GroupSize);
        _hidden = Features(_config.HiddenDim, model.GroupSize);
        _cos = _buffers.Allocate<float>(Capacity * angles.Pairs);
        _sin = _buffers.Allocate<float>(Capacity * angles.Pairs);
        _workers = new Worker[pool.Workers];
        for (var i = 0; i < _workers.Length; i++)
            _workers[i] = new Worker(i, model, _buffers);
        _steps = new SharedSteps(1 + StepsPerLayer * _config.NLayers, Math.Min(pool.Workers, Capacity / LeastStrip));
        (_runLayers, _runClassifier) = (RunLayers, RunClassifier);
    }

    /// <summary>Whether a model's groups can be multiplied in batches: four features of a token lie together.</summary>
    public static bool CanRun(LlamaModel model) => model.GroupSize % 4 == 0;

    private static int Tile => KernelSet.Tile;

    private static int MaxTiles => Capacity / Tile;

    private static int BlockSize => WeightMatrix.Float32BatchRows * Tile;

    private int Tiles => (_count + Tile - 1) / Tile;

    /// <summary>Takes in tokens at consecutive positions.</summary>
    /// <param name="tokens">1 to <see cref="Capacity"/> of them.</param>
    /// <param name="pos">The first one's position.</param>
    public void Run(ReadOnlySpan<int> tokens, int pos)
    {
        tokens.CopyTo(_tokens);
        (_pos, _count) = (pos, tokens.Length);
        _strips = Math.Clamp(Tiles * Tile / LeastStrip, 1, _workers.Length);
        // Of float32 weights no block fits the first cache, and for each one the activations come from the second or third: the larger it is, the less often.
        // Workers who share a strip take small ones, so that they are done at the same time.
        _blockRows = _model.GroupSize == 0 && _strips == _workers.Length ? WeightMatrix.Float32BatchRows : WeightMatrix.BatchRows;
        _steps.Reset();
        _pool.Run(_runLayers);
    }

    /// <summary>Copies a token's residual stream after the last layer.</summary>
    public void CopyStream(int index, float* x)
    {
        var column = _x.Values(index / Tile) + index % Tile;
        for (var i = 0; i < _config.Dim; i++)
            x[i] = column[i * Tile];
    }

    /// <summary>The logits after every token of the last batch.</summary>
    /// <param name="logits">(tokens, vocab_size).</param>
    public void Classify(Span<float> logits)
    {
        _logits ??= new BatchActivation(MaxTiles, _config.VocabSize, 0, _buffers);
        _steps.Reset();
        _pool.Run(_runClassifier);
        for (var index = 0; index < _count; index++)
        {
            var column = _logits.Values(index / Tile) + index % Tile;
            var row = logits.Slice(index * _config.VocabSize, _config.VocabSize);
            for (var i = 0; i < row.Length; i++)
                row[i] = column[(long)i * Tile];
        }
    }

    /// <summary>Frees the memory.</summary>
    public void Dispose() => _buffers.Dispose();

    /// <summary>One worker's part of every step: tiles where a whole row of features is needed, rows of matrices or heads elsewhere.</summary>
    private void RunLayers(int worker)
    {
        var me = _workers[worker];
        me.Step = 0;
        while (TryTakeTile(me, out var tile))
            Embed(tile, me.Rows);
        Finish(me);

        for (var l = 0; l < _model.Layers.Length; l++)
        {
            var layer = _model.Layers[l];

            // x += wo · attention(norm(x))
            Normalize(layer.AttentionNorm, layer.Wq, me);
            while (TryTakeBlock(me, Blocks(_config.Dim) + 2 * Blocks(_config.KvDim), out var strip, out var block))
                Project(l, strip, block, me);
            Finish(me);
            while (TryTakePart(me, _config.NHeads, out var tile, out var head))
                Attend(l, head, tile, me.Scores);
            Finish(me);
            Prepare(_attended, layer.Wo, me);
            AddProduct(layer.Wo, _attended, me);

            // x += w2 · (silu(w1 · norm(x)) · (w3 · norm(x)))
            Normalize(layer.FfnNorm, layer.W1, me);
            while (TryTakeBlock(me, Blocks(_config.HiddenDim), out var strip, out var block))
                GateAndUp(layer, strip, block, me);
            Finish(me);
            Prepare(_hidden, layer.W2, me);
            AddProduct(layer.W2, _hidden, me);
        }
    }

    private void RunClassifier(int worker)
    {
        var me = _workers[worker];
        me.Step = 0;
        Normalize(_model.Norm, _model.Classifier, me);
        while (TryTakeBlock(me, Blocks(_config.VocabSize), out var strip, out var block))
        {
            var product = Begin(_model.Classifier, block, _config.VocabSize, me.Scratch);
            for (var tile = strip; tile < Tiles; tile += _strips)
                Multiply(product, _normed, tile, _logits!.Values(tile, product.Rows.Start));
        }
    }

    private int Blocks(int rows) => (rows + _blockRows - 1) / _blockRows;

    private Part Rows(int block, int rows)
    {
        var start = Math.Min(rows, block * _blockRows);
        return new Part(start, Math.Min(_blockRows, rows - start));
    }

    /// <summary>Takes a block of rows for the tiles of a strip.</summary>
    private bool TryTakeBlock(Worker me, int blocks, out int strip, out int block) => TryTake(me, blocks, 0, out strip, out block);

    /// <summary>Takes one of a tile's parts.</summary>
    private bool TryTakePart(Worker me, int parts, out int tile, out int part)
    {
        var taken = TryTake(me, 0, parts, out var strip, out var item);
        (part, tile) = (item / TilesOf(strip), strip + item % TilesOf(strip) * _strips);
        return taken;
    }

    private bool TryTakeTile(Worker me, out int tile) => TryTakePart(me, 1, out tile, out _);

    /// <summary>Takes an item of the worker's own strip; when all of these are taken, of another's.</summary>
    private bool TryTake(Worker me, int perStrip, int perTile, out int strip, out int item)
    {
        (strip, item) = (0, 0);
        for (var i = 0; i < _strips; i++)
        {
            strip = (me.Number + i) % _strips;
            if (_steps.TryTake(me.Step, strip, perStrip + perTile * TilesOf(strip), out item))
                return true;
        }
        return false;
    }

    /// <summary>How many tiles a strip has: its own number, and every one that is a multiple of the strips further on.</summary>
    private int TilesOf(int strip) => (Tiles - strip + _strips - 1) / _strips;

    /// <summary>Waits until a step's last item is done.</summary>
    private void Finish(Worker me)
    {
        _pool.Barrier(me.Number);
        me.Step++;
    }

    /// <summary>Prepares a block of rows of W to be multiplied with one tile after the other.</summary>
    private BlockProduct Begin(WeightMatrix w, int block, int rows, byte* scratch)
    {
        var product = new BlockProduct(w, Rows(block, rows), Rows(block + _workers.Length / _strips, rows), scratch);
        w.Unpack(_kernels, product.Rows, scratch);
        return product;
    }

    /// <summary>A block of rows of W · x for a tile, (rows, Tile); it is used while it is near.</summary>
    private void Multiply(BlockProduct product, BatchActivation x, int tile, float* output) =>
        product.W.Multiply(_kernels, x, tile, output, product.Rows, product.Scratch, product.W.MemoryOf(product.Next, tile / _strips, TilesOf(tile % _strips)));

    private void Embed(int tile, float* rows)
    {
        var dim = _config.Dim;
        for (var t = 0; t < Tile; t++)
        {
            var index = tile * Tile + t;
            // The places past the last token compute too, and are not looked at: its neighbour's numbers are as good as any.
            _model.Embedding.ReadRow(_tokens[Math.Min(index, _count - 1)], new Span<float>(rows + t % EmbeddedRows * dim, dim));
            if (t % EmbeddedRows == EmbeddedRows - 1)
                Transposition.Run(rows, dim, _x.Values(tile) + t - t % EmbeddedRows, Tile, EmbeddedRows, dim);
            for (var pair = 0; pair < _angles.Pairs; pair++)
                (_sin[(tile * _angles.Pairs + pair) * Tile + t], _cos[(tile * _angles.Pairs + pair) * Tile + t]) = _angles.At(_pos + index, pair);
        }
    }

    private void Normalize(float* weight, WeightMatrix next, Worker me)
    {
        while (TryTakeTile(me, out var tile))
        {
            _kernels.RmsNormTile(weight, _x.Values(tile), _normed.Values(tile), _config.Dim, _config.NormEps);
            next.Prepare(_kernels, _normed, tile);
        }
        Finish(me);
    }

    private void Prepare(BatchActivation x, WeightMatrix next, Worker me)
    {
        while (TryTakeTile(me, out var tile))
            next.Prepare(_kernels, x, tile);
        Finish(me);
    }

    /// <summary>x += W · input.</summary>
    private void AddProduct(WeightMatrix w, BatchActivation input, Worker me)
    {
        while (TryTakeBlock(me, Blocks(_config.Dim), out var strip, out var block))
        {
            var product = Begin(w, block, _config.Dim, me.Scratch);
            for (var tile = strip; tile < Tiles; tile += _strips)
            {
                Multiply(product, input, tile, me.Result);
                _kernels.Add(_x.Values(tile, product.Rows.Start), me.Result, product.Rows.Count * Tile);
            }
        }
        Finish(me);
    }

    /// <summary>A block of rows of the queries, keys or values: one after the other in this order.</summary>
    private void Project(int l, int strip, int block, Worker me)
    {
        var layer = _model.Layers[l];
        var (queries, keys) = (Blocks(_config.Dim), Blocks(_config.KvDim));
        if (block < queries)
        {
            var product = Begin(layer.Wq, block, _config.Dim, me.Scratch);
            for (var tile = strip; tile < Tiles; tile += _strips)
            {
                var q = _q.Values(tile, product.Rows.Start);
                Multiply(product, _normed, tile, q);
                Rotate(q, tile, product.Rows);
            }
        }
        else if (block < queries + keys)
        {
            var product = Begin(layer.Wk, block - queries, _config.KvDim, me.Scratch);
            for (var tile = strip; tile < Tiles; tile += _strips)
            {
                Multiply(product, _normed, tile, me.Result);
                Rotate(me.Result, tile, product.Rows);
                _cache.StoreKeys(l, _pos + tile * Tile, TokensOf(tile), me.Result, product.Rows);
            }
        }
        else
        {
            var product = Begin(layer.Wv, block - queries - keys, _config.KvDim, me.Scratch);
            for (var tile = strip; tile < Tiles; tile += _strips)
            {
                Multiply(product, _normed, tile, me.Result);
                _cache.StoreValues(l, _pos + tile * Tile, TokensOf(tile), me.Result, product.Rows);
            }
        }
    }

    /// <summary>A block of rows of the hidden state.</summary>
    private void GateAndUp(Layer layer, int strip, int block, Worker me)
    {
        // One matrix after the other: two blocks of weights and a tile would not fit the first cache together.
        var product = Begin(layer.W1, block, _config.HiddenDim, me.Scratch);
        for (var tile = strip; tile < Tiles; tile += _strips)
            Multiply(product, _normed, tile, me.Gate + tile * BlockSize);
        product = Begin(layer.W3, block, _config.HiddenDim, me.Scratch);
        for (var tile = strip; tile < Tiles; tile += _strips)
        {
            Multiply(product, _normed, tile, me.Result);
            _kernels.SwiGlu(me.Gate + tile * BlockSize, me.Result, _hidden.Values(tile, product.Rows.Start), product.Rows.Count * Tile);
        }
    }

    private int TokensOf(int tile) => Math.Min(Tile, _count - tile * Tile);

    /// <summary>What one head finds for a tile of tokens, each at the positions up to its own.</summary>
    private void Attend(int layer, int head, int tile, float* scores)
    {
        var headSize = _config.HeadSize;
        var kvHead = head / (_config.NHeads / _config.NKvHeads);
        var (first, end) = (_pos + tile * Tile, _pos + Math.Min(_count, (tile + 1) * Tile));

        var keys = _cache.Keys(layer, kvHead);
        for (var t = 0; t < end; t += KernelSet.KeyBlock)
            _kernels.MatMul(keys + (long)t * headSize, 1, KernelSet.KeyBlock, _q.Values(tile, head * headSize), scores + (long)t * Tile, KernelSet.KeyBlock, headSize, default);
        for (var t = first + 1; t < end; t++)
            new Span<float>(scores + (long)t * Tile, t - first).Fill(float.NegativeInfinity);
        _kernels.SoftmaxTile(scores, end, 1f / MathF.Sqrt(headSize));
        _kernels.MatMul(_cache.Values(layer, kvHead), 1, headSize, scores, _attended.Values(tile, head * headSize), headSize, end, default);
    }

    /// <summary>Turns some rows of queries or keys of a tile, (rows, Tile).</summary>
    private void Rotate(float* x, int tile, Part rows)
    {
        var headSize = _config.HeadSize;
        for (var row = rows.Start; row < rows.End;)
        {
            var pair = row % headSize / 2;
            var pairs = Math.Min(headSize / 2 - pair, (rows.End - row) / 2);
            var angle = (tile * _angles.Pairs + pair) * Tile;
            _kernels.RopeTile(x + (row - rows.Start) * Tile, _cos + angle, _sin + angle, pairs);
            row += 2 * pairs;
        }
    }

    /// <summary>Some rows of a matrix, ready to be multiplied, and those that the worker will probably take next.</summary>
    private readonly struct BlockProduct(WeightMatrix w, Part rows, Part next, byte* scratch)
    {
        public WeightMatrix W { get; } = w;

        public Part Rows { get; } = rows;

        public Part Next { get; } = next;

        /// <summary>The rows from <see cref="WeightMatrix.Unpack"/>.</summary>
        public byte* Scratch { get; } = scratch;
    }

    /// <summary>Where one worker is, and memory of its own.</summary>
    private sealed class Worker(int number, LlamaModel model, NativeBuffers buffers)
    {
        /// <summary>Its number.</summary>
        public int Number { get; } = number;

        /// <summary>The step of the job that it is in.</summary>
        public int Step { get; set; }

        /// <summary>Some tokens' embeddings, (EmbeddedRows, dim).</summary>
        public float* Rows { get; } = buffers.Allocate<float>(EmbeddedRows * model.Config.Dim);

        /// <summary>Attention scores of one head and tile, (seq_len in whole key blocks, Tile).</summary>
        public float* Scores { get; } = buffers.Allocate<float>((long)KvCache.RoundUp(model.Config.MaxSeqLen) * Tile);

        /// <summary>Room to unpack a block of weights.</summary>
        public byte* Scratch { get; } = buffers.Allocate<byte>(WeightMatrix.ScratchBytes(Math.Max(model.Config.Dim, model.Config.HiddenDim)));

        /// <summary>A block of rows of a product, (Float32BatchRows, Tile).</summary>
        public float* Result { get; } = buffers.Allocate<float>(BlockSize);

        /// <summary>A block of rows of w1 · x for every tile, (MaxTiles, Float32BatchRows, Tile).</summary>
        public float* Gate { get; } = buffers.Allocate<float>(MaxTiles * BlockSize);
    }
}
