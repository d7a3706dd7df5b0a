using System.Numerics;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>-log softmax(scores)[target] of one row, and its gradient.</summary>
internal static unsafe class CrossEntropyKernel
{
    /// <summary>The loss. Scores become its gradient, softmax(scores) - onehot(target), times a factor.</summary>
    /// <param name="length">Of the row.</param>
    /// <param name="scores">Overwritten.</param>
    /// <param name="target">Index of the right one.</param>
    /// <param name="factor">What the gradient is multiplied with.</param>
    public static T Compute<T>(int length, T* scores, long target, T factor) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = Vector512<T>.Count;
        var maxima = Vector512.Create(scores[0]);
        var i = 0;
        for (; i + lanes <= length; i += lanes)
            maxima = Vector512.Max(maxima, Vector512.Load(scores + i));
        var max = maxima[0];
        for (var lane = 1; lane < lanes; lane++)
            max = T.Max(max, maxima[lane]);
        for (; i < length; i++)
            max = T.Max(max, scores[i]);

        var right = scores[target] - max;
        var sums = Vector512<T>.Zero;
        for (i = 0; i + lanes <= length; i += lanes)
        {
            var e = Lanes.Exp(Vector512.Load(scores + i) - Vector512.Create(max));
            Vector512.Store(e, scores + i);
            sums += e;
        }
        var sum = Vector512.Sum(sums);
        for (; i < length; i++)
            sum += scores[i] = T.Exp(scores[i] - max);

        var scale = factor / sum;
        for (i = 0; i + lanes <= length; i += lanes)
            Vector512.Store(Vector512.Load(scores + i) * Vector512.Create(scale), scores + i);
        for (; i < length; i++)
            scores[i] *= scale;
        scores[target] -= factor;
        return T.Log(sum) - right;
    }
}
