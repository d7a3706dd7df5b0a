using System.Numerics;
using LlamaFullstack.Training.Kernels;
using LlamaFullstack.Training.Native;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>A parameter as the kernels see it: W with its products and the sum of its gradient.</summary>
/// <typeparam name="V">The registers to use.</typeparam>
/// <typeparam name="T">float, or double to check gradients.</typeparam>
internal sealed unsafe class TileWeight<V, T>(Parameter parameter) where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private T* _gradient;
    private bool _accumulates;

    /// <summary>(rows, columns), or (rows) of a norm.</summary>
    public T* Values { get; } = TorchOperators.Data<T>(parameter);

    public int Rows { get; } = (int)parameter.shape[0];

    public int Columns { get; } = parameter.dim() > 1 ? (int)parameter.shape[1] : 1;

    /// <summary>y = W · x for some tiles.</summary>
    public void Multiply(Tiles<T> x, Tiles<T> y, int tiles) =>
        MatrixProduct.Narrow<V, T>(Rows, Columns, Values, Columns, 1, x[0], y[0], false, tiles, x.Step, y.Step);

    /// <summary>x = Wᵀ · y for some tiles, or x += Wᵀ · y.</summary>
    public void MultiplyTransposed(Tiles<T> y, Tiles<T> x, int tiles, bool accumulate = false) =>
        MatrixProduct.Narrow<V, T>(Columns, Rows, Values, 1, Columns, y[0], x[0], accumulate, tiles, y.Step, x.Step);

    /// <summary>Finds the sum of the gradient, or makes room for it. Called once before what is added in this backward pass.</summary>
    public void BeginGradient()
    {
        var sum = parameter.grad;
        _accumulates = sum is not null;
        _gradient = TorchOperators.Data<T>(sum ?? (parameter.grad = empty_like(parameter)));
    }

    /// <summary>As <see cref="BeginGradient"/>, for sums into single rows: zeros where there are none yet.</summary>
    public void ContinueGradient() => _gradient = TorchOperators.Data<T>(parameter.grad ??= zeros_like(parameter));

    /// <summary>Adds some rows of the gradient by W of y = W · x: over all tokens, the gradient by y times x.</summary>
    /// <param name="row">The first of them.</param>
    /// <param name="rows">How many at most.</param>
    /// <param name="tiles">Of the tokens.</param>
    /// <param name="by">The gradient by y.</param>
    /// <param name="x">Token by token, as <see cref="TokenTile{T}.ToRows"/> leaves each tile.</param>
    public void AddGradient(int row, int rows, int tiles, Tiles<T> by, Tiles<T> x) =>
        AddGradient(row, rows, tiles, by, x, _gradient, _accumulates);

    /// <summary>The same, to a sum that lies elsewhere.</summary>
    public void AddGradient(int row, int rows, int tiles, Tiles<T> by, Tiles<T> x, T* sum, bool accumulate) =>
        MatrixProduct.Sum<V, T>(row, Math.Min(Rows, row + rows), Columns, tiles, by[0], by.Step, x[0], x.Step, sum, accumulate);

    /// <summary>Adds parts of the gradient, or of some rows of it.</summary>
    /// <param name="first">The first value.</param>
    /// <param name="count">How many.</param>
    /// <param name="parts">Each as long as the parameter.</param>
    /// <param name="number">Of the parts.</param>
    /// <param name="factor">What they are multiplied with.</param>
    public void AddGradient(nint first, nint count, T* parts, int number, T factor)
    {
        for (var i = first; i < first + count; i++)
        {
            var sum = parts[i];
            for (var part = 1; part < number; part++)
                sum += parts[(nint)part * Rows * Columns + i];
            _gradient[i] = _accumulates ? _gradient[i] + sum * factor : sum * factor;
        }
    }

    /// <summary>Adds to single rows, each a token's: what an embedding's gradient is.</summary>
    /// <param name="first">The first feature.</param>
    /// <param name="end">The last one and 1.</param>
    /// <param name="tokens">The rows, of one tile; -1 is none.</param>
    /// <param name="by">Their gradients, (features, tile).</param>
    public void AddGradientOfRows(int first, int end, ReadOnlySpan<long> tokens, T* by)
    {
        for (var lane = 0; lane < tokens.Length; lane++)
            for (var f = first; f < end && tokens[lane] >= 0; f++)
                _gradient[(nint)tokens[lane] * Columns + f] += by[f * tokens.Length + lane];
    }
}
