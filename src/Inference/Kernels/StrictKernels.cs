using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Floats = System.Runtime.Intrinsics.Vector512<float>;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>llama2.c's bits: every sum in its order, every product rounded before it is added, the exponential as C rounds it.</summary>
/// <param name="integer">The fastest integer kernels: all sets give the same bits there.</param>
/// <remarks>
/// Vectors are used only where a lane computes what a step of the scalar loop does: positions or features side by side.
/// What they cannot do without another order is short beside an int8 product; float32 matrices are slow.
/// </remarks>
internal sealed unsafe class StrictKernels(IntegerKernels integer) : ScalarKernels("strict", integer)
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void AttentionScores(float* q, float* keys, float* scores, int count, int headSize)
    {
        var root = Vector512.Create(MathF.Sqrt(headSize));
        for (var t = 0; t < count; t += KeyBlock, keys += KeyBlock * headSize)
        {
            var score = Floats.Zero;
            for (var i = 0; i < headSize; i++)
                score += Vector512.Create(q[i]) * Vector512.Load(keys + i * KeyBlock);
            (score / root).Store(scores + t);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void AttentionSum(float* weights, float* values, float* output, int count, int headSize)
    {
        if (headSize < Floats.Count)
        {
            base.AttentionSum(weights, values, output, count, headSize);
            return;
        }
        // The last register may overlap the one before, and then computes the same numbers again.
        for (var i = 0; i < headSize; i += Floats.Count)
        {
            var at = Math.Min(i, headSize - Floats.Count);
            var sum = Floats.Zero;
            for (var t = 0; t < count; t++)
                sum += Vector512.Create(weights[t]) * Vector512.Load(values + (long)t * headSize + at);
            sum.Store(output + at);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void Softmax(float* x, int n)
    {
        var max = x[0];
        for (var t = 1; t < n; t++)
            max = Math.Max(max, x[t]);

        var sum = CMath.Exponentials(x, divisor: 1, max, x, n);
        for (var i = 0; i < n; i++)
            x[i] /= sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal override void SwiGlu(float* gate, float* up, float* output, int n)
    {
        var i = 0;
        for (; i <= n - CMath.Count; i += CMath.Count)
        {
            var g = Vector256.Load(gate + i);
            CMath.Exp(-g, output + i);
            var sigmoid = Vector256<float>.One / (Vector256<float>.One + Vector256.Load(output + i));
            (g * sigmoid * Vector256.Load(up + i)).Store(output + i);
        }
        base.SwiGlu(gate + i, up + i, output + i, n - i);
    }
}
