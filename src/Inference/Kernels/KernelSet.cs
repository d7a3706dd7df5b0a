namespace LlamaFullstack.Inference.Kernels;

/// <summary>The arithmetic of the forward pass, written for one width of vector register.</summary>
/// <remarks>
/// <para>Every set has the same methods; <see cref="ScalarKernels"/> says what they mean, one line of mathematics a loop. The engine works
/// on raw pointers into mapped files and buffers of its own, so nothing here checks lengths: whoever calls has checked the file's header.</para>
/// <para>Between sets, sums differ in the order of their terms, and so by no more than n·ε·Σ|terms|. Within a set, an output never depends on how rows are divided among threads.</para>
/// </remarks>
public abstract unsafe class KernelSet
{
    /// <summary>Positions whose keys lie side by side in the cache: one register of the widest set.</summary>
    internal const int KeyBlock = 16;

    /// <summary>Rows of a matrix are divided among threads in multiples of this, so that kernels may take several at once.</summary>
    internal const int RowBlock = 16;

    /// <summary>Tokens of a prompt that lie side by side in a batch: two registers of v512, or of v256 where there are no 512 bits.</summary>
    /// <remarks>A product then reads its activations without a gap: the JIT sees a constant. For 128 bits 8 were no faster than 16 (docs/LOG.md).</remarks>
    internal static int Tile => KernelSets.Has512 ? 32 : 16;

    private protected KernelSet(string name, IntegerKernels integer) => (Name, Integer) = (name, integer);

    /// <summary>scalar, v128, v256 or v512: what <c>LLAMAFS_KERNELS</c> calls it.</summary>
    public string Name { get; }

    /// <summary>The products of quantised numbers.</summary>
    internal IntegerKernels Integer { get; }

    /// <summary>output[r] = Σ w[r][c] · x[c].</summary>
    /// <param name="w">Row-major weights, (rows, cols); any alignment.</param>
    /// <param name="x">Activations, (cols).</param>
    /// <param name="output">(rows); must not overlap <paramref name="x"/>.</param>
    /// <param name="rows">Output features.</param>
    /// <param name="cols">Input features.</param>
    /// <remarks>Cost: reads 4·rows·cols bytes once, which is what bounds it.</remarks>
    internal abstract void MatVec(float* w, float* x, float* output, int rows, int cols);

    /// <summary>output[r][t] = Σ w[r][c] · x[c][t] for every token t of a tile.</summary>
    /// <param name="w">Weights, or keys or values: element (r, c) lies at r · <paramref name="rowStride"/> + c · <paramref name="colStride"/>.</param>
    /// <param name="rowStride">Floats from one row to the next.</param>
    /// <param name="colStride">Floats from one column to the next.</param>
    /// <param name="x">Activations, (cols, Tile).</param>
    /// <param name="output">(rows, Tile).</param>
    /// <param name="rows">Output features.</param>
    /// <param name="cols">Input features.</param>
    /// <param name="next">What to ask the memory for meanwhile.</param>
    /// <remarks>Cost: rows · cols · Tile multiply-adds, which is what bounds it. A lane is a token: no sum runs across a register.</remarks>
    internal abstract void MatMul(float* w, int rowStride, int colStride, float* x, float* output, int rows, int cols, Upcoming next);

    /// <summary>output[i] = w[i] · (x[i] / sqrt(Σ x² / n + ε)).</summary>
    /// <param name="w">Weight, (n).</param>
    /// <param name="x">Input, (n).</param>
    /// <param name="output">(n); may be <paramref name="x"/>.</param>
    /// <param name="n">Width.</param>
    /// <param name="epsilon">ε.</param>
    internal abstract void RmsNorm(float* w, float* x, float* output, int n, float epsilon);

    /// <summary>Turns each pair (x[i], x[i+1]), i even, by its angle: (x[i]·cos − x[i+1]·sin, x[i]·sin + x[i+1]·cos).</summary>
    /// <param name="x">Queries or keys, turned in place, (n).</param>
    /// <param name="cos">The pair's cosine, at both of its places, (n).</param>
    /// <param name="sin">Its sine likewise, negated at the even place, (n).</param>
    /// <param name="n">An even number.</param>
    internal abstract void Rope(float* x, float* cos, float* sin, int n);

    /// <summary>scores[t] = Σ q[i] · key[t][i] / sqrt(headSize).</summary>
    /// <param name="q">One head's query, (headSize).</param>
    /// <param name="keys">Keys of its head, (ceil(count / KeyBlock), headSize, KeyBlock): the positions of a block side by side.</param>
    /// <param name="scores">(count), written in whole blocks: what lies past count is meaningless.</param>
    /// <param name="count">Positions to attend to.</param>
    /// <param name="headSize">Width of the head.</param>
    internal abstract void AttentionScores(float* q, float* keys, float* scores, int count, int headSize);

    /// <summary>x[i] = exp(x[i] − max) / Σ exp(x[j] − max), in place.</summary>
    /// <param name="x">Scores, (n).</param>
    /// <param name="n">At least 1.</param>
    internal abstract void Softmax(float* x, int n);

    /// <summary>output[i] = Σ weights[t] · values[t][i].</summary>
    /// <param name="weights">Attention, (count).</param>
    /// <param name="values">Values of one head, (count, headSize).</param>
    /// <param name="output">(headSize).</param>
    /// <param name="count">Positions attended to.</param>
    /// <param name="headSize">Width of the head.</param>
    internal abstract void AttentionSum(float* weights, float* values, float* output, int count, int headSize);

    /// <summary>output[i] = silu(gate[i]) · up[i], with silu(a) = a / (1 + exp(−a)).</summary>
    /// <param name="gate">w1 · x, (n).</param>
    /// <param name="up">w3 · x, (n).</param>
    /// <param name="output">(n); must not overlap the inputs.</param>
    /// <param name="n">Width.</param>
    internal abstract void SwiGlu(float* gate, float* up, float* output, int n);

    /// <summary>x[i] += y[i].</summary>
    /// <param name="x">(n).</param>
    /// <param name="y">(n).</param>
    /// <param name="n">Width.</param>
    internal abstract void Add(float* x, float* y, int n);

    /// <summary><see cref="RmsNorm"/> for every token of a tile.</summary>
    /// <param name="w">Weight, (n).</param>
    /// <param name="x">Input, (n, Tile).</param>
    /// <param name="output">(n, Tile).</param>
    /// <param name="n">Width.</param>
    /// <param name="epsilon">ε.</param>
    internal abstract void RmsNormTile(float* w, float* x, float* output, int n, float epsilon);

    /// <summary><see cref="Rope"/> for every token of a tile, each at its own angle.</summary>
    /// <param name="x">Features of queries or keys, turned in place, (2 · pairs, Tile).</param>
    /// <param name="cos">(pairs, Tile).</param>
    /// <param name="sin">(pairs, Tile).</param>
    /// <param name="pairs">Pairs of features.</param>
    internal abstract void RopeTile(float* x, float* cos, float* sin, int pairs);

    /// <summary>For every token t of a tile, in place: x[i][t] = exp(scale · (x[i][t] − max)) / Σ of these over i.</summary>
    /// <param name="x">Scores, (n, Tile); −∞ for what a token must not see.</param>
    /// <param name="n">At least 1.</param>
    /// <param name="scale">Above 0.</param>
    internal abstract void SoftmaxTile(float* x, int n, float scale);

    /// <summary>The first index of the largest value.</summary>
    /// <param name="x">Logits, (n).</param>
    /// <param name="n">At least 1.</param>
    /// <returns>−1 if a value is NaN.</returns>
    internal abstract int ArgMax(float* x, int n);
}
