using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>How well a model foretells a text: the mean of -log p(next token), in nats, as training reports it.</summary>
public sealed class LossEvaluation
{
    private double _sum;

    /// <summary>Predictions counted so far.</summary>
    public long Count { get; private set; }

    /// <summary>Mean cross-entropy in nats a token; NaN before the first.</summary>
    public double MeanLoss => _sum / Count;

    /// <summary>Counts every prediction of one sequence, which begins at position 0.</summary>
    /// <param name="transformer">The model.</param>
    /// <param name="tokens">The sequence and the token after it: at most one longer than the model's context.</param>
    public void Add(Transformer transformer, ReadOnlySpan<long> tokens)
    {
        var vocabSize = transformer.Model.Config.VocabSize;
        var inputs = new int[Math.Max(0, tokens.Length - 1)];
        for (var i = 0; i < inputs.Length; i++)
            inputs[i] = (int)tokens[i];
        var logits = new float[Math.Min(inputs.Length, Transformer.BatchSize) * vocabSize];
        for (var start = 0; start < inputs.Length; start += Transformer.BatchSize)
        {
            var count = Math.Min(Transformer.BatchSize, inputs.Length - start);
            transformer.ForwardAll(inputs.AsSpan(start, count), start, logits.AsSpan(0, count * vocabSize));
            for (var i = 0; i < count; i++)
                _sum += NegativeLogProbability(transformer.Kernels, logits.AsSpan(i * vocabSize, vocabSize), (int)tokens[start + i + 1]);
        }
        Count += tokens.Length - 1;
    }

    /// <summary>log Σ exp(logits) - logits[token], in double precision.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static unsafe double NegativeLogProbability(KernelSet kernels, ReadOnlySpan<float> logits, int token)
    {
        fixed (float* p = logits)
        {
            var likeliest = kernels.ArgMax(p, logits.Length);
            if (likeliest < 0)
                return double.NaN;
            var max = p[likeliest];
            var (sums, i) = (Vector256<double>.Zero, 0);
            for (; i <= logits.Length - CMath.Count; i += CMath.Count)
            {
                var (low, high) = Vector256.Widen(Vector256.Max(Vector256.Load(p + i) - Vector256.Create(max), Vector256.Create(CMath.LeastOfFloat64)));
                sums += CMath.Exp(low) + CMath.Exp(high);
            }
            var sum = Vector256.Sum(sums);
            for (; i < logits.Length; i++)
                sum += Math.Exp(p[i] - max);
            return max + Math.Log(sum) - p[token];
        }
    }
}
