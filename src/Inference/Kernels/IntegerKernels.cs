namespace LlamaFullstack.Inference.Kernels;

/// <summary>Products of quantised weights with quantised activations: the integer part of a <see cref="KernelSet"/>.</summary>
/// <remarks>
/// The sum of a group is exact in int32; then it is scaled to float32 and added to the others. Only the order of that addition differs between
/// sets, and not even that in <see cref="MatVecInt8"/>. <see cref="ScalarIntegerKernels"/> is the specification.
/// </remarks>
internal abstract unsafe class IntegerKernels
{
    /// <summary>Tokens side by side in a tile.</summary>
    protected static int Tile => KernelSet.Tile;

    /// <summary>Per group: scale = max|x| / 127, q = round(x / scale), half away from zero. A group of zeros has scale 0 and q 0.</summary>
    /// <param name="x">Activations; whole groups.</param>
    /// <param name="q">Filled with the values, scales and group sums.</param>
    public abstract void Quantize(float* x, Int8Vector q);

    /// <summary>As <see cref="Quantize"/>, with the values in the order in which this set's <see cref="MatVecInt4"/> takes them.</summary>
    /// <inheritdoc cref="Quantize"/>
    public abstract void QuantizeForInt4(float* x, Int8Vector q);

    /// <summary>As <see cref="Quantize"/>, for a tile of tokens.</summary>
    /// <param name="x">Activations, (features, Tile).</param>
    /// <param name="q">Filled with the values, as this set's <see cref="MatMulInt8"/> takes them, scales and group sums.</param>
    public abstract void QuantizeTile(float* x, Int8Tile q);

    /// <summary>As <see cref="QuantizeTile"/>, with the values as <see cref="MatMulInt4"/> takes them: bytes, in every set.</summary>
    /// <inheritdoc cref="QuantizeTile"/>
    public virtual void QuantizeTileForInt4(float* x, Int8Tile q) => QuantizeTile(x, q);

    /// <summary>output[r] = Σ over groups g of float(Σ w[r][i] · x[i], i in g) · wScale[r][g] · xScale[g], in that order: runq.c's.</summary>
    /// <param name="w">Row-major int8 weights, (rows, cols).</param>
    /// <param name="wScales">(rows, cols / group size); any alignment.</param>
    /// <param name="x">Quantised activations, (cols).</param>
    /// <param name="output">(rows).</param>
    /// <param name="rows">Output features.</param>
    /// <remarks>All sets give the same bits.</remarks>
    public abstract void MatVecInt8(sbyte* w, float* wScales, Int8Vector x, float* output, int rows);

    /// <summary>The same with 4-bit weights: w[r][i] = code − 8, two codes a byte (<see cref="Core.Quantization.Int4Groups"/>).</summary>
    /// <param name="w">Row-major codes, (rows, cols / 2).</param>
    /// <param name="wScales">(rows, cols / group size); any alignment.</param>
    /// <param name="x">Activations from <see cref="QuantizeForInt4"/>, (cols).</param>
    /// <param name="output">(rows).</param>
    /// <param name="rows">Output features.</param>
    public abstract void MatVecInt4(byte* w, Half* wScales, Int8Vector x, float* output, int rows);

    /// <summary>Copies int8 weights in the form in which this set's <see cref="MatMulInt8"/> takes them: as they are, 128 more and unsigned, or as int16.</summary>
    /// <param name="w">(n), at any address.</param>
    /// <param name="to">Room for n int16.</param>
    /// <param name="n">Weights; whole groups, as <see cref="MatMulInt8"/> takes them.</param>
    public abstract void ArrangeInt8(sbyte* w, byte* to, int n);

    /// <summary><see cref="MatVecInt8"/> for every token of a tile: output[r][t].</summary>
    /// <param name="w">Row-major weights from <see cref="ArrangeInt8"/>, (rows, features).</param>
    /// <param name="wScales">(rows, features / group size); any alignment.</param>
    /// <param name="x">Activations of a tile from <see cref="QuantizeTile"/>.</param>
    /// <param name="output">(rows, Tile).</param>
    /// <param name="rows">Output features.</param>
    /// <param name="next">What to ask the memory for meanwhile.</param>
    /// <remarks>Cost: rows · features · Tile multiply-adds, which is what bounds it.</remarks>
    public abstract void MatMulInt8(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next);

    /// <summary><see cref="MatMulInt8"/> with 4-bit weights that have been unpacked: w[r][i] = code − 8.</summary>
    /// <param name="w">Row-major codes, a byte each, from <see cref="UnpackInt4"/>, (rows, features).</param>
    /// <param name="wScales">(rows, features / group size); any alignment.</param>
    /// <param name="x">Activations of a tile from <see cref="QuantizeTileForInt4"/>.</param>
    /// <param name="output">(rows, Tile).</param>
    /// <param name="rows">Output features.</param>
    /// <param name="next">What to ask the memory for meanwhile.</param>
    public abstract void MatMulInt4(byte* w, float* wScales, Int8Tile x, float* output, int rows, Upcoming next);

    /// <summary>to[i] = code, in the order of the weights.</summary>
    /// <param name="codes">Whole groups, n / 2 bytes.</param>
    /// <param name="to">(n).</param>
    /// <param name="n">Weights.</param>
    /// <param name="groupSize">Weights in a group.</param>
    public abstract void UnpackInt4(byte* codes, byte* to, int n, int groupSize);
}
