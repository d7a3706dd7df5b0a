using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>The specification: what every kernel computes, one step at a time, in the order in which llama2.c computes it.</summary>
/// <remarks>Correct and slow. Read this first; <see cref="VectorKernels{TLanes, TVector, TInt8, TInt32}"/> does the same many numbers at a time.</remarks>
internal sealed unsafe class ScalarKernels() : KernelSet("scalar")
{
    internal override void MatVec(float* w, float* x, float* output, int rows, int cols)
    {
        for (var row = 0; row < rows; row++, w += cols)
        {
            var sum = 0f;
            for (var i = 0; i < cols; i++)
                sum += w[i] * x[i];
            output[row] = sum;
        }
    }

    internal override void MatVecInt8(sbyte* w, float* wScales, Int8Vector x, float* output, int rows)
    {
        for (var row = 0; row < rows; row++, w += x.Length, wScales += x.Groups)
        {
            var sum = 0f;
            for (var group = 0; group < x.Groups; group++)
            {
                var dot = 0;
                for (var i = group * x.GroupSize; i < (group + 1) * x.GroupSize; i++)
                    dot += w[i] * x.Values[i];
                sum += dot * wScales[group] * x.Scales[group];
            }
            output[row] = sum;
        }
    }

    internal override void Quantize(float* x, Int8Vector q)
    {
        for (var group = 0; group < q.Groups; group++)
        {
            var start = group * q.GroupSize;
            // Math.Max hands a NaN on: it reaches the scale, and from there the logits, where it is reported.
            var max = 0f;
            for (var i = 0; i < q.GroupSize; i++)
                max = Math.Max(max, Math.Abs(x[start + i]));

            var scale = q.Scales[group] = max / Int8Groups.MaxMagnitude;
            var sum = 0;
            for (var i = 0; i < q.GroupSize; i++)
                sum += q.Values[start + i] = Round(x[start + i], scale);
            q.Sums[group] = sum;
        }
    }

    internal override void RmsNorm(float* w, float* x, float* output, int n, float epsilon)
    {
        var squares = 0f;
        for (var i = 0; i < n; i++)
            squares += x[i] * x[i];

        var inverse = 1f / MathF.Sqrt(squares / n + epsilon);
        for (var i = 0; i < n; i++)
            output[i] = w[i] * (inverse * x[i]);
    }

    internal override void Rope(float* x, float* cos, float* sin, int n)
    {
        for (var i = 0; i < n; i += 2)
        {
            var (x0, x1) = (x[i], x[i + 1]);
            x[i] = x0 * cos[i] + x1 * sin[i];
            x[i + 1] = x1 * cos[i + 1] + x0 * sin[i + 1];
        }
    }

    internal override void AttentionScores(float* q, float* keys, float* scores, int count, int headSize)
    {
        var root = MathF.Sqrt(headSize);
        for (var t = 0; t < count; t++)
        {
            var key = keys + (long)(t / KeyBlock) * KeyBlock * headSize + t % KeyBlock;
            var score = 0f;
            for (var i = 0; i < headSize; i++)
                score += q[i] * key[i * KeyBlock];
            scores[t] = score / root;
        }
    }

    internal override void Softmax(float* x, int n)
    {
        var max = x[0];
        for (var i = 1; i < n; i++)
            max = Math.Max(max, x[i]);

        var sum = 0f;
        for (var i = 0; i < n; i++)
            sum += x[i] = MathF.Exp(x[i] - max);

        for (var i = 0; i < n; i++)
            x[i] /= sum;
    }

    internal override void AttentionSum(float* weights, float* values, float* output, int count, int headSize)
    {
        for (var i = 0; i < headSize; i++)
        {
            var sum = 0f;
            for (var t = 0; t < count; t++)
                sum += weights[t] * values[(long)t * headSize + i];
            output[i] = sum;
        }
    }

    internal override void SwiGlu(float* gate, float* up, float* output, int n)
    {
        for (var i = 0; i < n; i++)
            output[i] = gate[i] * (1f / (1f + MathF.Exp(-gate[i]))) * up[i];
    }

    internal override void Add(float* x, float* y, int n)
    {
        for (var i = 0; i < n; i++)
            x[i] += y[i];
    }

    internal override int ArgMax(float* x, int n)
    {
        var best = 0;
        for (var i = 0; i < n; i++)
        {
            if (float.IsNaN(x[i]))
                return -1;
            if (x[i] > x[best])
                best = i;
        }
        return best;
    }

    // The clamp matters only where the scale is so small that it has lost digits; runq.c wraps around there.
    private static sbyte Round(float x, float scale) =>
        scale == 0 || float.IsNaN(scale) ? (sbyte)0
        : (sbyte)Math.Clamp(MathF.Round(x / scale, MidpointRounding.AwayFromZero), -Int8Groups.MaxMagnitude, Int8Groups.MaxMagnitude);
}
