using System.Numerics;
using LlamaFullstack.Core;
using LlamaFullstack.Training.Kernels;
using LlamaFullstack.Training.Native;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>
/// The loss of <see cref="Transformer"/> and its gradient on a processor, in one precision and with kernels of our own alone: a thread
/// takes a group of tiles of tokens through all that lies between two attentions while they are in its cache.
/// </summary>
/// <typeparam name="V">The registers to use.</typeparam>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
/// <remarks>
/// What is computed at a time follows from the shapes alone, and each sum has one order, so that the number of threads changes no bit.
/// The backward pass adds to the parameters' gradients directly; to autograd the whole loss is one operation. A step allocates nothing
/// large: the buffers of a loss serve the next one, once its gradient is taken.
/// </remarks>
internal sealed unsafe class TiledTransformer<V, T> : IDisposable where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private const int MostTiles = 8; // of a group: weights are then read once for 256 tokens
    private const int Groups = 16; // at least, where there are tiles enough, for the threads to share
    private const int GradientRows = 64; // of a weight's gradient at a time

    [ThreadStatic]
    private static ThreadMemory? _scratch;

    private static readonly int Tile = TokenTile<T>.Length;

    private readonly LlamaConfig _config;
    private readonly TileAttention<V, T> _attention;
    private readonly T _epsilon;
    private readonly T[] _cos; // (tiles of positions, head_size / 2, tile)
    private readonly T[] _sin;
    private readonly TileWeight<V, T> _embedding;
    private readonly TileWeight<V, T> _classifier;
    private readonly TileWeight<V, T> _norm;
    private readonly Layer[] _layers;
    private readonly Parameter _parameter; // stands for all of them in autograd
    private TileBuffers<T>? _free; // no pass is using it

    /// <param name="config">The model's shape.</param>
    /// <param name="rope">The angles.</param>
    /// <param name="parameters">The model's own, by name.</param>
    /// <param name="classifier">The name of the classifier among them.</param>
    public TiledTransformer(LlamaConfig config, Rope rope, IReadOnlyDictionary<string, Parameter> parameters, string classifier)
    {
        TileWeight<V, T> Of(string name) => new(parameters[name]);
        _config = config;
        _attention = new TileAttention<V, T>(config);
        _epsilon = T.CreateChecked(config.NormEps);
        (_cos, _sin) = (InTiles(rope.Cos.data<T>().ToArray()), InTiles(rope.Sin.data<T>().ToArray()));
        _parameter = parameters[classifier];
        _embedding = Of(TensorNames.TokEmbeddings);
        _classifier = classifier == TensorNames.TokEmbeddings ? _embedding : Of(classifier);
        _norm = Of(TensorNames.Norm);
        _layers = [.. Enumerable.Range(0, config.NLayers).Select(i => new Layer(
            Of(TensorNames.AttentionNorm(i)), Of(TensorNames.Wq(i)), Of(TensorNames.Wk(i)), Of(TensorNames.Wv(i)), Of(TensorNames.Wo(i)),
            Of(TensorNames.FfnNorm(i)), Of(TensorNames.W1(i)), Of(TensorNames.W2(i)), Of(TensorNames.W3(i))))];
    }

    /// <summary>As <see cref="Transformer.Loss"/>.</summary>
    /// <param name="tokens">(batch, time), 64-bit integers.</param>
    /// <param name="targets">The token after each one; -1 does not count.</param>
    /// <param name="dropout">What to drop.</param>
    /// <param name="layerDone">Told in the backward pass of each layer whose gradients are complete.</param>
    public Tensor Loss(Tensor tokens, Tensor targets, DropoutMask dropout, Action<int>? layerDone)
    {
        var batch = new TokenBatch(tokens, targets, Tile, dropout);
        return is_grad_enabled() ? Operation.apply(_parameter, this, batch, layerDone ?? (_ => { }))
            : tensor(Evaluate(batch), dtype: _parameter.dtype);
    }

    public void Dispose() => _free?.Dispose();

    private double Evaluate(TokenBatch batch)
    {
        var buffers = TakeBuffers(batch);
        var loss = Forward(batch, buffers, keeps: false);
        GiveBack(buffers);
        return loss;
    }

    private TileBuffers<T> TakeBuffers(TokenBatch batch)
    {
        var buffers = _free;
        _free = null;
        if (buffers?.Tiles == batch.Tiles)
            return buffers;
        buffers?.Dispose();
        return new TileBuffers<T>(_config, batch.Tiles, GroupSize(batch.Tiles));
    }

    private void GiveBack(TileBuffers<T> buffers)
    {
        _free?.Dispose();
        _free = buffers;
    }

    /// <summary>x → x + attention(norm(x)) = h → h + ffn(norm(h)), layer by layer, and the loss.</summary>
    /// <param name="batch">The tokens.</param>
    /// <param name="buffers">Where everything goes.</param>
    /// <param name="keeps">Whether a backward pass follows: if not, all layers share their buffers.</param>
    private double Forward(TokenBatch batch, TileBuffers<T> buffers, bool keeps)
    {
        var group = GroupSize(batch.Tiles);
        Tiles<T> Stream(int layer) => buffers.Stream(keeps ? layer : layer % 2);
        TileBuffers<T>.Layer Kept(int layer) => buffers.Of(keeps ? layer : 0);
        for (var i = 0; i <= _config.NLayers; i++)
        {
            var layer = i;
            if (layer > 0)
                Attend(batch, layer - 1, Kept(layer - 1));
            var (x, kept, before, previous) = (Stream(layer), Kept(Math.Min(layer, _config.NLayers - 1)), Stream(Math.Max(0, layer - 1)), Kept(Math.Max(0, layer - 1)));
            TorchThreads.For((batch.Tiles + group - 1) / group, task =>
            {
                var (first, count) = (task * group, Math.Min(group, batch.Tiles - task * group));
                if (layer == 0)
                    Embed(batch, first, count, x);
                else
                    FeedForward(layer - 1, previous, first, count, batch, before, x);
                if (layer < _config.NLayers)
                    AttentionInput(_layers[layer], first, count, batch, x, kept.Qkv);
            });
        }
        return Classify(batch, buffers, group, Stream(_config.NLayers), keeps);
    }

    private void Embed(TokenBatch batch, int first, int count, Tiles<T> stream)
    {
        for (var tile = first; tile < first + count; tile++)
        {
            var to = stream[tile];
            var tokens = batch.Tokens(tile);
            for (var lane = 0; lane < Tile; lane++)
            {
                var row = _embedding.Values + (nint)tokens[lane] * _config.Dim;
                for (var f = 0; f < _config.Dim; f++)
                    to[f * Tile + lane] = tokens[lane] < 0 ? T.Zero : row[f]; // after the end of a sequence
            }
            Drop(batch, 0, DropoutPlace.Embedding, tile, to);
        }
    }

    private void AttentionInput(Layer layer, int first, int count, TokenBatch batch, Tiles<T> x, Tiles<T> qkv)
    {
        var normed = Scratch(_config.Dim, count);
        for (var i = 0; i < count; i++)
            TokenTile<T>.Norm<V>(_config.Dim, _epsilon, x[first + i], layer.AttentionNorm.Values, normed[i]);
        var to = qkv.From(first);
        layer.Wq.Multiply(normed, to, count);
        layer.Wk.Multiply(normed, to.Feature(_config.Dim), count);
        layer.Wv.Multiply(normed, to.Feature(_config.Dim + _config.KvDim), count);
        for (var i = 0; i < count; i++)
            Rotate(to[i], (first + i) % batch.TilesOfSequence, back: false);
    }

    private void Attend(TokenBatch batch, int layer, TileBuffers<T>.Layer kept) => TorchThreads.For(batch.Sequences * _config.NKvHeads, task =>
    {
        var (sequence, keyHead) = Math.DivRem(task, _config.NKvHeads);
        var first = sequence * batch.TilesOfSequence;
        _attention.Forward(batch.TilesOfSequence, keyHead, kept.Qkv.From(first), kept.Attended.From(first), kept.LogSums.From(first), batch.Dropout.Of(layer, DropoutPlace.AttentionWeights).Of(sequence));
    });

    private void FeedForward(int number, TileBuffers<T>.Layer kept, int first, int count, TokenBatch batch, Tiles<T> x, Tiles<T> output)
    {
        var layer = _layers[number];
        var hidden = _config.HiddenDim * Tile;
        var (h, gates) = (kept.H.From(first), kept.Gates.From(first));
        layer.Wo.Multiply(kept.Attended.From(first), h, count);
        var normed = Scratch(_config.Dim, count, others: count * hidden, out var others);
        for (var i = 0; i < count; i++)
        {
            Drop(batch, number, DropoutPlace.AttentionOutput, first + i, h[i]);
            TokenTile<T>.Add<V>(_config.Dim, x[first + i], h[i]);
            TokenTile<T>.Norm<V>(_config.Dim, _epsilon, h[i], layer.FfnNorm.Values, normed[i]);
        }
        layer.W1.Multiply(normed, gates, count);
        layer.W3.Multiply(normed, gates.Feature(_config.HiddenDim), count);
        var mixed = new Tiles<T>(others, hidden);
        for (var i = 0; i < count; i++)
            SwiGluKernel.Forward<V, T>(hidden, gates[i], gates[i] + hidden, mixed[i]);
        layer.W2.Multiply(mixed, output.From(first), count);
        for (var i = 0; i < count; i++)
        {
            Drop(batch, number, DropoutPlace.FeedForwardOutput, first + i, output[first + i]);
            TokenTile<T>.Add<V>(_config.Dim, h[i], output[first + i]);
        }
    }

    /// <summary>The loss, and for a backward pass its gradients by the normalised stream and by the classifier.</summary>
    /// <remarks>The scores of a whole batch, positions × vocab_size, would be a step's largest buffer by far: they are made in parts, and their gradient goes back at once.</remarks>
    private double Classify(TokenBatch batch, TileBuffers<T> buffers, int group, Tiles<T> stream, bool keeps)
    {
        var scores = buffers.Scores;
        Tiles<T> byStream = default, rows = default;
        T* classifierGradient = null;
        if (keeps)
        {
            (byStream, rows) = (buffers.Gradients.Streams[0], buffers.Gradients.XRows);
            classifierGradient = buffers.ClassifierGradient;
        }
        var losses = new double[batch.Tiles];
        for (var part = 0; part < batch.Tiles; part += buffers.TilesOfPart)
        {
            var (start, tiles) = (part, Math.Min(buffers.TilesOfPart, batch.Tiles - part));
            TorchThreads.For((tiles + group - 1) / group, task =>
            {
                var (first, count) = (task * group, Math.Min(group, tiles - task * group));
                var normed = Scratch(_config.Dim, count, others: count * Tile, out var factors);
                for (var i = 0; i < count; i++)
                    TokenTile<T>.Norm<V>(_config.Dim, _epsilon, stream[start + first + i], _norm.Values, normed[i]);
                _classifier.Multiply(normed, scores.From(first), count);
                for (var i = 0; i < count; i++)
                    losses[start + first + i] = TokenTile<T>.CrossEntropy<V>(_config.VocabSize, scores[first + i], batch.Targets(start + first + i), batch.Share, factors + i * Tile);
                if (!keeps)
                    return;
                _classifier.MultiplyTransposed(scores.From(first), byStream.From(start + first), count);
                for (var i = 0; i < count; i++)
                {
                    TokenTile<T>.Scale<V>(_config.Dim, factors + i * Tile, byStream[start + first + i]);
                    TokenTile<T>.Scale<V>(_config.Dim, factors + i * Tile, normed[i]);
                    TokenTile<T>.ToRows(_config.Dim, normed[i], rows[start + first + i]);
                }
            });
            if (keeps)
                ForRows(_config.VocabSize, (row, count) => _classifier.AddGradient(
                    row, count, tiles, scores, rows.From(start), classifierGradient, accumulate: start > 0));
        }
        return losses.Sum();
    }

    /// <param name="batch">What the forward pass was given.</param>
    /// <param name="buffers">What it filled.</param>
    /// <param name="lossGradient">By the loss itself, which is divided by the number of micro-batches later on.</param>
    /// <param name="layerDone">See <see cref="Loss"/>.</param>
    private void Backward(TokenBatch batch, TileBuffers<T> buffers, double lossGradient, Action<int> layerDone)
    {
        using var noGrad = no_grad();
        var (gradients, factor, group) = (buffers.Gradients, T.CreateTruncating(lossGradient), GroupSize(batch.Tiles));
        var groups = (batch.Tiles + group - 1) / group;
        var classifierGradient = buffers.ClassifierGradient;
        var last = buffers.Stream(_config.NLayers);
        _classifier.BeginGradient();
        ForRows(_config.VocabSize, (row, rows) => _classifier.AddGradient((nint)row * _config.Dim, (nint)rows * _config.Dim, classifierGradient, 1, factor));
        var (output, middle, input) = (gradients.Streams[1], gradients.Streams[0], gradients.Streams[2]);
        TorchThreads.For(groups, task =>
        {
            var lanes = ClearedLanes(0, out _);
            for (var tile = task * group; tile < Math.Min(batch.Tiles, (task + 1) * group); tile++)
            {
                TokenTile<T>.Scale<V>(_config.Dim, factor, middle[tile], middle[tile]);
                new Span<T>(output[tile], _config.Dim * Tile).Clear();
                TokenTile<T>.NormBackward<V>(_config.Dim, _epsilon, last[tile], _norm.Values, middle[tile], output[tile], lanes);
            }
            SumLanes(lanes, gradients.AttentionNorm + (nint)task * _config.Dim);
        });
        AddNormGradient(_norm, gradients.AttentionNorm, groups);
        for (var i = _config.NLayers - 1; i >= 0; i--)
        {
            var (number, layer, kept, x, o, m, n) = (i, _layers[i], buffers.Of(i), buffers.Stream(i), output, middle, input);
            TorchThreads.For(groups, task => FeedForwardBackward(number, kept, gradients, task, group, batch, o, m, n));
            TorchThreads.For(batch.Sequences * _config.NKvHeads, task =>
            {
                var (sequence, keyHead) = Math.DivRem(task, _config.NKvHeads);
                var first = sequence * batch.TilesOfSequence;
                _attention.Backward(batch.TilesOfSequence, keyHead, kept.Qkv.From(first), kept.Attended.From(first), kept.LogSums.From(first), gradients.Attended.From(first), gradients.Qkv.From(first),
                    batch.Dropout.Of(number, DropoutPlace.AttentionWeights).Of(sequence));
            });
            TorchThreads.For(groups, task => AttentionInputBackward(layer, gradients, task, group, batch, x, n));
            AddWeightGradients(layer, gradients, batch.Tiles, o, m);
            AddNormGradient(layer.FfnNorm, gradients.FfnNorm, groups);
            AddNormGradient(layer.AttentionNorm, gradients.AttentionNorm, groups);
            layerDone(i);
            (output, middle, input) = (input, output, middle);
        }
        TorchThreads.For(batch.Tiles, tile => Drop(batch, 0, DropoutPlace.Embedding, tile, output[tile]));
        AddEmbeddingGradient(batch, output);
        GiveBack(buffers);
    }

    /// <summary>
    /// From the gradient by a layer's output to that by attention's output. Those by what w2 and wo add to the stream stay in <paramref name="output"/> and
    /// <paramref name="middle"/>, for the gradients of these; the one by the stream itself goes on to <paramref name="input"/>.
    /// </summary>
    private void FeedForwardBackward(
        int number, TileBuffers<T>.Layer kept, TileBuffers<T>.Backward gradients, int task, int group, TokenBatch batch, Tiles<T> output, Tiles<T> middle, Tiles<T> input)
    {
        var layer = _layers[number];
        var (first, count) = (task * group, Math.Min(group, batch.Tiles - task * group));
        var (hidden, dim) = (_config.HiddenDim * Tile, _config.Dim * Tile);
        var lanes = ClearedLanes(count * Math.Max(hidden, dim) + dim, out var memory);
        var (mixed, gates) = (new Tiles<T>(memory + dim, hidden), gradients.Gates.From(first));
        for (var i = 0; i < count; i++)
        {
            SwiGluKernel.Forward<V, T>(hidden, kept.Gates[first + i], kept.Gates[first + i] + hidden, mixed[i]);
            TokenTile<T>.ToRows(_config.HiddenDim, mixed[i], gradients.HiddenRows[first + i]);
            new Span<T>(output[first + i], dim).CopyTo(new Span<T>(middle[first + i], dim));
            Drop(batch, number, DropoutPlace.FeedForwardOutput, first + i, output[first + i]);
        }
        layer.W2.MultiplyTransposed(output.From(first), mixed, count);
        for (var i = 0; i < count; i++)
            SwiGluKernel.Backward<V, T>(hidden, kept.Gates[first + i], kept.Gates[first + i] + hidden, mixed[i], gates[i], gates[i] + hidden);
        var normed = memory;
        var byNormed = new Tiles<T>(memory + dim, dim);
        layer.W1.MultiplyTransposed(gates, byNormed, count);
        layer.W3.MultiplyTransposed(gates.Feature(_config.HiddenDim), byNormed, count, accumulate: true);
        for (var i = 0; i < count; i++)
        {
            var h = kept.H[first + i];
            TokenTile<T>.Norm<V>(_config.Dim, _epsilon, h, layer.FfnNorm.Values, normed);
            TokenTile<T>.ToRows(_config.Dim, normed, gradients.HRows[first + i]);
            TokenTile<T>.ToRows(_config.Dim, kept.Attended[first + i], gradients.AttendedRows[first + i]);
            TokenTile<T>.NormBackward<V>(_config.Dim, _epsilon, h, layer.FfnNorm.Values, byNormed[i], middle[first + i], lanes);
            new Span<T>(middle[first + i], dim).CopyTo(new Span<T>(input[first + i], dim));
            Drop(batch, number, DropoutPlace.AttentionOutput, first + i, middle[first + i]);
        }
        SumLanes(lanes, gradients.FfnNorm + (nint)task * _config.Dim);
        layer.Wo.MultiplyTransposed(middle.From(first), gradients.Attended.From(first), count);
    }

    /// <summary>Takes the gradients by queries, keys and values back to the layer's input and adds them to that by the stream.</summary>
    private void AttentionInputBackward(Layer layer, TileBuffers<T>.Backward gradients, int task, int group, TokenBatch batch, Tiles<T> x, Tiles<T> input)
    {
        var (first, count) = (task * group, Math.Min(group, batch.Tiles - task * group));
        var dim = _config.Dim * Tile;
        var lanes = ClearedLanes((count + 1) * dim, out var normed);
        var (byNormed, qkv) = (new Tiles<T>(normed + dim, dim), gradients.Qkv.From(first));
        for (var i = 0; i < count; i++)
            Rotate(qkv[i], (first + i) % batch.TilesOfSequence, back: true);
        layer.Wq.MultiplyTransposed(qkv, byNormed, count);
        layer.Wk.MultiplyTransposed(qkv.Feature(_config.Dim), byNormed, count, accumulate: true);
        layer.Wv.MultiplyTransposed(qkv.Feature(_config.Dim + _config.KvDim), byNormed, count, accumulate: true);
        for (var i = 0; i < count; i++)
        {
            TokenTile<T>.Norm<V>(_config.Dim, _epsilon, x[first + i], layer.AttentionNorm.Values, normed);
            TokenTile<T>.ToRows(_config.Dim, normed, gradients.XRows[first + i]);
            TokenTile<T>.NormBackward<V>(_config.Dim, _epsilon, x[first + i], layer.AttentionNorm.Values, byNormed[i], input[first + i], lanes);
        }
        SumLanes(lanes, gradients.AttentionNorm + (nint)task * _config.Dim);
    }

    /// <summary>Adds to the gradients of a layer's matrices, all of them in one loop over blocks of their rows.</summary>
    private void AddWeightGradients(Layer layer, TileBuffers<T>.Backward gradients, int tiles, Tiles<T> output, Tiles<T> middle)
    {
        (TileWeight<V, T> Weight, Tiles<T> By, Tiles<T> X)[] products =
        [
            (layer.W2, output, gradients.HiddenRows), (layer.W1, gradients.Gates, gradients.HRows), (layer.W3, gradients.Gates.Feature(_config.HiddenDim), gradients.HRows),
            (layer.Wo, middle, gradients.AttendedRows), (layer.Wq, gradients.Qkv, gradients.XRows), (layer.Wk, gradients.Qkv.Feature(_config.Dim), gradients.XRows),
            (layer.Wv, gradients.Qkv.Feature(_config.Dim + _config.KvDim), gradients.XRows),
        ];
        var blocks = new List<(int Product, int Row)>();
        for (var i = 0; i < products.Length; i++)
        {
            products[i].Weight.BeginGradient();
            for (var row = 0; row < products[i].Weight.Rows; row += GradientRows)
                blocks.Add((i, row));
        }
        TorchThreads.For(blocks.Count, task =>
        {
            var (weight, by, x) = products[blocks[task].Product];
            weight.AddGradient(blocks[task].Row, GradientRows, tiles, by, x);
        });
    }

    private void AddNormGradient(TileWeight<V, T> norm, T* parts, int groups)
    {
        norm.BeginGradient();
        norm.AddGradient(0, _config.Dim, parts, groups, T.One);
    }

    private void AddEmbeddingGradient(TokenBatch batch, Tiles<T> gradient)
    {
        const int Features = 16; // at a time: each thread adds to features of its own
        _embedding.ContinueGradient();
        TorchThreads.For((_config.Dim + Features - 1) / Features, block =>
        {
            for (var tile = 0; tile < batch.Tiles; tile++)
                _embedding.AddGradientOfRows(block * Features, Math.Min(_config.Dim, (block + 1) * Features), batch.Tokens(tile), gradient[tile]);
        });
    }

    /// <summary>Sets what is dropped of a tile of the stream to zero and scales the rest; or does the same to its gradient.</summary>
    private void Drop(TokenBatch batch, int layer, DropoutPlace place, int tile, T* x) => batch.Dropout.Of(layer, place).Of(tile).Apply<V, T>((nint)_config.Dim * Tile, x);

    /// <summary>Turns queries and keys, and scales queries; or takes their gradients back through that.</summary>
    /// <remarks>Queries get the factor log2(e) for <see cref="TileAttention{V,T}"/>. Its gradients by keys have it and lose it here, those by queries have it not.</remarks>
    private void Rotate(T* qkv, int positions, bool back)
    {
        var (pairs, scale) = (_config.HeadSize / 2, T.One / T.Sqrt(T.CreateTruncating(_config.HeadSize)));
        var log2e = T.CreateTruncating(Math.Log2(Math.E));
        fixed (T* cos = &_cos[positions * pairs * Tile], sin = &_sin[positions * pairs * Tile])
        {
            TokenTile<T>.Rotate<V>(_config.NHeads, pairs, cos, sin, back ? scale : scale * log2e, back, qkv);
            TokenTile<T>.Rotate<V>(_config.NKvHeads, pairs, cos, sin, back ? T.One / log2e : T.One, back, qkv + (nint)_config.Dim * Tile);
        }
    }

    /// <summary>(positions, head_size / 2) to (tiles of positions, head_size / 2, tile).</summary>
    private T[] InTiles(T[] angles)
    {
        var pairs = _config.HeadSize / 2;
        var result = new T[(_config.MaxSeqLen + Tile - 1) / Tile * pairs * Tile];
        for (var i = 0; i < angles.Length; i++)
            result[(i / pairs / Tile * pairs + i % pairs) * Tile + i / pairs % Tile] = angles[i];
        return result;
    }

    private static int GroupSize(int tiles) => Math.Clamp(tiles / Groups, 1, MostTiles);

    private static void ForRows(int rows, Action<int, int> body) =>
        TorchThreads.For((rows + GradientRows - 1) / GradientRows, block => body(block * GradientRows, Math.Min(GradientRows, rows - block * GradientRows)));

    private static Tiles<T> Scratch(int features, int count) => Scratch(features, count, 0, out _);

    /// <summary>Tiles of this thread's own, and room for other values.</summary>
    private static Tiles<T> Scratch(int features, int count, nint others, out T* other)
    {
        var step = (nint)features * Tile;
        var memory = (_scratch ??= new()).Take<T>(count * step + others);
        other = memory + count * step;
        return new Tiles<T>(memory, step);
    }

    /// <summary>Zeros for the gradient of a norm's weight, (dim, values of a cache line), and room for other values.</summary>
    private T* ClearedLanes(nint others, out T* other)
    {
        var length = _config.Dim * TokenTile<T>.LineLength;
        var lanes = (_scratch ??= new()).Take<T>(length + others);
        new Span<T>(lanes, length).Clear();
        other = lanes + length;
        return lanes;
    }

    private void SumLanes(T* lanes, T* sums)
    {
        for (var f = 0; f < _config.Dim; f++, lanes += TokenTile<T>.LineLength)
        {
            var sum = V.Load(lanes);
            for (var lane = V.Count; lane < TokenTile<T>.LineLength; lane += V.Count)
                sum += V.Load(lanes + lane);
            sums[f] = V.Sum(sum);
        }
    }

    private sealed record Layer(
        TileWeight<V, T> AttentionNorm, TileWeight<V, T> Wq, TileWeight<V, T> Wk, TileWeight<V, T> Wv, TileWeight<V, T> Wo,
        TileWeight<V, T> FfnNorm, TileWeight<V, T> W1, TileWeight<V, T> W2, TileWeight<V, T> W3);

    /// <summary>Both passes as one operation of autograd's. The classifier stands for all parameters; the gradients are added to them directly.</summary>
    private sealed class Operation : autograd.SingleTensorFunction<Operation>
    {
        private const string BackwardPass = "backward";

        public override string Name => nameof(TiledTransformer<V, T>);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            var (model, batch, layerDone) = ((TiledTransformer<V, T>)vars[1], (TokenBatch)vars[2], (Action<int>)vars[3]);
            var buffers = model.TakeBuffers(batch);
            ctx.save_data(BackwardPass, (Action<double>)(gradient => model.Backward(batch, buffers, gradient, layerDone)));
            return tensor(model.Forward(batch, buffers, keeps: true), dtype: model._parameter.dtype);
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            using var scope = NewDisposeScope();
            ((Action<double>)ctx.get_data(BackwardPass))(grad_output.ToDouble());
            return [null!, null!, null!, null!];
        }
    }
}
