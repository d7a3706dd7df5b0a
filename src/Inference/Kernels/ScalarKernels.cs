namespace LlamaFullstack.Inference.Kernels;

/// <summary>The specification: what every kernel computes, one step at a time, in the order in which llama2.c computes it.</summary>
/// <remarks>Correct and slow. Read this first; <see cref="VectorKernels{TLanes, TVector}"/> does the same many numbers at a time.</remarks>
internal unsafe class ScalarKernels(string name, IntegerKernels integer) : KernelSet(name, integer)
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

    internal override void MatMul(float* w, int rowStride, int colStride, float* x, float* output, int rows, int cols, Upcoming next)
    {
        for (var row = 0; row < rows; row++)
        {
            for (var t = 0; t < Tile; t++)
            {
                var sum = 0f;
                for (var i = 0; i < cols; i++)
                    sum += w[(long)row * rowStride + (long)i * colStride] * x[i * Tile + t];
                output[row * Tile + t] = sum;
            }
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

    internal override void RmsNormTile(float* w, float* x, float* output, int n, float epsilon)
    {
        for (var t = 0; t < Tile; t++)
        {
            var squares = 0f;
            for (var i = 0; i < n; i++)
                squares += x[i * Tile + t] * x[i * Tile + t];

            var inverse = 1f / MathF.Sqrt(squares / n + epsilon);
            for (var i = 0; i < n; i++)
                output[i * Tile + t] = w[i] * (inverse * x[i * Tile + t]);
        }
    }

    internal override void RopeTile(float* x, float* cos, float* sin, int pairs)
    {
        for (var pair = 0; pair < pairs; pair++, x += 2 * Tile)
        {
            for (var t = 0; t < Tile; t++)
            {
                var (x0, x1) = (x[t], x[Tile + t]);
                var (c, s) = (cos[pair * Tile + t], sin[pair * Tile + t]);
                (x[t], x[Tile + t]) = (x0 * c - x1 * s, x0 * s + x1 * c);
            }
        }
    }

    internal override void SoftmaxTile(float* x, int n, float scale)
    {
        for (var t = 0; t < Tile; t++)
        {
            var max = x[t];
            for (var i = 1; i < n; i++)
                max = Math.Max(max, x[i * Tile + t]);

            var sum = 0f;
            for (var i = 0; i < n; i++)
                sum += x[i * Tile + t] = MathF.Exp(scale * (x[i * Tile + t] - max));

            for (var i = 0; i < n; i++)
                x[i * Tile + t] /= sum;
        }
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
}
