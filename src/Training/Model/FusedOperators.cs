using System.Numerics;
using LlamaFullstack.Core;
using LlamaFullstack.Training.Kernels;
using LlamaFullstack.Training.Native;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>The hand-written kernels on torch's tensors, which are contiguous, on the processor and of type T; the work is shared among libtorch's threads.</summary>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
/// <remarks>What one thread does at a time follows from the shapes alone, so that the number of threads changes no bit.</remarks>
internal sealed unsafe class FusedOperators<T>(LlamaConfig config, Rope rope) where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    // Rows of the stream at a time: enough work to be worth a call, and some dozens of parts for the threads in a usual batch.
    internal const int Block = 32;

    private readonly T _epsilon = T.CreateChecked(config.NormEps);
    private readonly AttentionKernel<T> _attention = new(config, rope.Cos.data<T>().ToArray(), rope.Sin.data<T>().ToArray());

    /// <summary>RMSNorm of every row.</summary>
    /// <param name="x">(rows, dim).</param>
    /// <param name="weight">(dim).</param>
    public Tensor Norm(Tensor x, Tensor weight)
    {
        var (rows, dim) = ((int)x.shape[0], (int)x.shape[1]);
        var result = empty_like(x);
        T* from = Data(x), w = Data(weight), to = Data(result);
        ForBlocks(rows, (first, end) =>
        {
            for (var row = first; row < end; row++)
                RmsNormKernel.Forward(dim, _epsilon, from + (nint)row * dim, w, to + (nint)row * dim);
        });
        return result;
    }

    /// <summary>Adds the gradient by x to <paramref name="gradientX"/>.</summary>
    /// <returns>The gradient by the weight.</returns>
    public Tensor NormBackward(Tensor x, Tensor weight, Tensor gradient, Tensor gradientX)
    {
        var (rows, dim) = ((int)x.shape[0], (int)x.shape[1]);
        using var parts = zeros([(rows + Block - 1) / Block, dim], dtype: x.dtype);
        T* from = Data(x), w = Data(weight), g = Data(gradient), to = Data(gradientX), part = Data(parts);
        ForBlocks(rows, (first, end) =>
        {
            for (var row = first; row < end; row++)
            {
                var at = (nint)row * dim;
                RmsNormKernel.Backward(dim, _epsilon, from + at, w, g + at, to + at, part + (nint)(first / Block) * dim);
            }
        });
        return parts.sum([0L]);
    }

    /// <summary>silu(a) ∘ b.</summary>
    /// <param name="ab">a and b beside each other, (rows, 2 · hidden_dim).</param>
    /// <returns>(rows, hidden_dim).</returns>
    public static Tensor SwiGlu(Tensor ab)
    {
        var (rows, hidden) = ((int)ab.shape[0], (int)ab.shape[1] / 2);
        var result = empty([rows, hidden], dtype: ab.dtype);
        T* from = Data(ab), to = Data(result);
        ForBlocks(rows, (first, end) =>
        {
            for (var row = first; row < end; row++)
            {
                var a = from + (nint)row * 2 * hidden;
                SwiGluKernel.Forward<Register512<T>, T>(hidden, a, a + hidden, to + (nint)row * hidden);
            }
        });
        return result;
    }

    /// <summary>The gradients by a and b, beside each other.</summary>
    public static Tensor SwiGluBackward(Tensor ab, Tensor gradient)
    {
        var (rows, hidden) = ((int)ab.shape[0], (int)ab.shape[1] / 2);
        var result = empty_like(ab);
        T* from = Data(ab), g = Data(gradient), to = Data(result);
        ForBlocks(rows, (first, end) =>
        {
            for (var row = first; row < end; row++)
            {
                var at = (nint)row * 2 * hidden;
                SwiGluKernel.Backward<Register512<T>, T>(hidden, from + at, from + at + hidden, g + (nint)row * hidden, to + at, to + at + hidden);
            }
        });
        return result;
    }

    /// <summary>Rotary positions and causal attention.</summary>
    /// <param name="qkv">Queries, keys and values beside each other, (batch · time, dim + 2 · kv_dim).</param>
    /// <param name="time">Tokens in a sequence.</param>
    /// <param name="dropout">Of the softmax's weights.</param>
    /// <returns>The output, (batch · time, dim), and what the backward pass needs, (batch, heads, time).</returns>
    public (Tensor Output, Tensor LogSums) Attention(Tensor qkv, int time, DropoutMask dropout)
    {
        var batch = (int)qkv.shape[0] / time;
        var output = empty([qkv.shape[0], config.Dim], dtype: qkv.dtype);
        var logSums = empty([batch, config.NHeads, time], dtype: qkv.dtype);
        T* from = Data(qkv), to = Data(output), logs = Data(logSums);
        TorchThreads.For(batch * config.NKvHeads, task =>
        {
            var (sequence, keyHead) = Math.DivRem(task, config.NKvHeads);
            _attention.Forward(time, keyHead, from + (nint)sequence * time * qkv.shape[1], to + (nint)sequence * time * config.Dim, logs + (nint)sequence * config.NHeads * time,
                dropout.Of(sequence));
        });
        return (output, logSums);
    }

    /// <summary>The gradient by queries, keys and values.</summary>
    public Tensor AttentionBackward(Tensor qkv, Tensor output, Tensor logSums, Tensor gradient, int time, DropoutMask dropout)
    {
        var batch = (int)qkv.shape[0] / time;
        var rowLength = (int)qkv.shape[1];
        var result = empty_like(qkv);
        T* from = Data(qkv), attended = Data(output), logs = Data(logSums), g = Data(gradient), to = Data(result);
        TorchThreads.For(batch * config.NKvHeads, task =>
        {
            var (sequence, keyHead) = Math.DivRem(task, config.NKvHeads);
            var first = (nint)sequence * time;
            _attention.Backward(time, keyHead, from + first * rowLength, attended + first * config.Dim, logs + (nint)sequence * config.NHeads * time,
                g + first * config.Dim, to + first * rowLength, dropout.Of(sequence));
        });
        return result;
    }

    /// <summary>Cross-entropy of every row; the scores become its gradient.</summary>
    /// <param name="scores">(rows, vocab_size).</param>
    /// <param name="targets">(rows); rows with -1 do not count.</param>
    /// <param name="factor">1 over the number of rows that count.</param>
    /// <returns>The sum of the losses, times <paramref name="factor"/>.</returns>
    public static double CrossEntropy(Tensor scores, ReadOnlySpan<long> targets, double factor)
    {
        var (rows, vocabulary) = ((int)scores.shape[0], (int)scores.shape[1]);
        var losses = new double[rows];
        var wanted = targets.ToArray();
        T* from = Data(scores);
        var scale = T.CreateTruncating(factor);
        TorchThreads.For(rows, row =>
        {
            var at = from + (nint)row * vocabulary;
            if (wanted[row] < 0)
                new Span<T>(at, vocabulary).Clear();
            else
                losses[row] = double.CreateTruncating(CrossEntropyKernel.Compute(vocabulary, at, wanted[row], scale));
        });
        return losses.Sum() * factor;
    }

    /// <summary>Sets what is dropped to zero and scales the rest, in place.</summary>
    /// <param name="x">(rows, columns).</param>
    /// <param name="dropout">By blocks of rows.</param>
    public static Tensor Drop(Tensor x, DropoutMask dropout)
    {
        var (rows, columns) = ((int)x.shape[0], (int)x.shape[1]);
        T* values = Data(x);
        if (dropout.IsOn)
            ForBlocks(rows, (first, end) => dropout.Of(first / Block).Apply<Register512<T>, T>((nint)(end - first) * columns, values + (nint)first * columns));
        return x;
    }

    /// <summary>Adds the gradients of the embedded tokens, (tokens, dim), to the rows of the embedding that they are.</summary>
    public static void EmbeddingBackward(ReadOnlySpan<long> tokens, Tensor gradient, Tensor gradientEmbedding)
    {
        var dim = (int)gradient.shape[1];
        T* from = Data(gradient), to = Data(gradientEmbedding);
        for (var row = 0; row < tokens.Length; row++)
        {
            T* add = from + (nint)row * dim, sum = to + (nint)tokens[row] * dim;
            for (var i = 0; i < dim; i++)
                sum[i] += add[i];
        }
    }

    /// <summary>The gradient by W of x · Wᵀ: gradientᵀ · x. oneDNN and MKL copy gradientᵀ first, or are slow.</summary>
    /// <param name="gradient">By x · Wᵀ, (rows, out); may be some columns of a matrix.</param>
    /// <param name="x">(rows, in).</param>
    /// <param name="result">(out, in).</param>
    /// <param name="accumulate">Whether to add it to the result.</param>
    public static void WeightGradient(Tensor gradient, Tensor x, Tensor result, bool accumulate)
    {
        const int MostRows = 256; // of W in a part: their part of gradientᵀ stays in a core's own cache
        var (rows, width, inner) = ((int)result.shape[0], (int)result.shape[1], (int)x.shape[0]);
        T* from = Data(gradient), right = Data(x), to = Data(result);
        var step = (nint)gradient.stride(0);
        var evenly = (rows + get_num_threads() - 1) / get_num_threads();
        var height = Math.Min(MostRows, (evenly + MatrixProduct.PackedRows - 1) / MatrixProduct.PackedRows * MatrixProduct.PackedRows);
        TorchThreads.For((rows + height - 1) / height, part =>
        {
            var first = part * height;
            MatrixProduct.Compute<Register512<T>, T>(Math.Min(height, rows - first), inner, width, from + first, 1, step, right, width, to + (nint)first * width, width, accumulate);
        });
    }

    private static void ForBlocks(int rows, Action<int, int> body) =>
        TorchThreads.For((rows + Block - 1) / Block, block => body(block * Block, Math.Min(rows, (block + 1) * Block)));

    private static T* Data(Tensor tensor) => TorchOperators.Data<T>(tensor);
}
