using System.Numerics;
using System.Runtime.Intrinsics;
using LlamaFullstack.Training.Kernels;

namespace LlamaFullstack.Training.Tests.Kernels;

/// <summary>Matrix products in every register against sums in float64, in any parts: threads share rows, and what is left over must be no other number.</summary>
public sealed unsafe class MatrixProductTests
{
    [Fact]
    public void Sum_AnyRowsOfManyTiles_IsWithinItsSummationBound()
    {
        CheckSum<Register512<float>, float>();
        CheckSum<Register256<float>, float>();
        CheckSum<Register128<float>, float>();
        CheckSum<Register256<double>, double>();
    }

    [Fact]
    public void Narrow_AnyShape_IsWithinItsSummationBound()
    {
        CheckNarrow<Register512<float>, float>();
        CheckNarrow<Register256<float>, float>();
        CheckNarrow<Register128<float>, float>();
        CheckNarrow<Register256<double>, double>();
    }

    private static void CheckSum<V, T>() where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var random = new Random(1);
        var lanes = Vector512<T>.Count;
        var inner = 2 * lanes;
        var shapes =
            from rows in new[] { 1, 5, 8, 9, 20, 65 }
            from width in new[] { 1, lanes, 3 * lanes + 3, 4 * lanes, 5 * lanes }
            from tiles in new[] { 1, 2, 7, 13 }
            from accumulate in new[] { false, true }
            select (rows, width, tiles, accumulate);
        foreach (var (rows, width, tiles, accumulate) in shapes)
        {
            var bStep = TokenTile<T>.WholeBlocks(width) * inner;
            T[] a = Values<T>(tiles * rows * inner, random), b = Values<T>(tiles * bStep, random), before = Values<T>(rows * width, random);
            foreach (var step in new[] { 1, 2, 3, 7, 8, 64 })
            {
                var c = (T[])before.Clone();
                fixed (T* pa = a, pb = b, pc = c)
                    for (var row = 0; row < rows; row += step)
                        MatrixProduct.Sum<V, T>(row, Math.Min(rows, row + step), width, tiles, pa, rows * inner, pb, bStep, pc, accumulate);
                for (var i = 0; i < rows; i++)
                    for (var j = 0; j < width; j++)
                        AssertSum(
                            accumulate ? before[i * width + j] : T.Zero, tiles * inner, c[i * width + j],
                            k => (a[(k / inner * rows + i) * inner + k % inner], b[k / inner * bStep + (j / inner * inner + k % inner) * inner + j % inner]), $"{typeof(V)}: {rows} rows by {step}, {width} columns, {tiles} tiles: ({i}, {j})");
            }
        }
    }

    private static void CheckNarrow<V, T>() where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var random = new Random(2);
        var width = 2 * Vector512<T>.Count;
        var shapes =
            from rows in new[] { 1, 2, 3, 4, 5, 8, 10, 65 }
            from inner in new[] { 1, 3, 4, 127, 129, 385, 800 }
            from transposed in new[] { false, true }
            from accumulate in new[] { false, true }
            select (rows, inner, transposed, accumulate);
        foreach (var (rows, inner, transposed, accumulate) in shapes)
        {
            const int Count = 3;
            T[] a = Values<T>(rows * inner, random), b = Values<T>(Count * inner * width, random), before = Values<T>(Count * rows * width + width, random);
            var c = (T[])before.Clone();
            fixed (T* pa = a, pb = b, pc = c)
                MatrixProduct.Narrow<V, T>(rows, inner, pa, transposed ? 1 : inner, transposed ? rows : 1, pb, pc, accumulate, Count, inner * width, rows * width);
            for (var i = 0; i < Count * rows; i++)
                for (var j = 0; j < width; j++)
                    AssertSum(
                        accumulate ? before[i * width + j] : T.Zero, inner, c[i * width + j],
                        k => (a[transposed ? k * rows + i % rows : i % rows * inner + k], b[(i / rows * inner + k) * width + j]), $"{typeof(V)}: {rows} rows, {inner} inner: ({i}, {j})");
            Assert.Equal(before[^width..], c[^width..]);
        }
    }

    /// <summary>n terms in any order are off by less than n · ε · Σ |a · b|.</summary>
    private static void AssertSum<T>(T first, int n, T actual, Func<int, (T A, T B)> terms, string what) where T : IBinaryFloatingPointIeee754<T>
    {
        var (sum, magnitude) = (double.CreateTruncating(first), Math.Abs(double.CreateTruncating(first)));
        for (var k = 0; k < n; k++)
        {
            var (a, b) = terms(k);
            var product = double.CreateTruncating(a) * double.CreateTruncating(b);
            (sum, magnitude) = (sum + product, magnitude + Math.Abs(product));
        }
        var epsilon = typeof(T) == typeof(float) ? 6e-8 : 2.3e-16;
        Assert.True(Math.Abs(sum - double.CreateTruncating(actual)) <= (n + 1) * epsilon * magnitude * 1.01, $"{what}: {actual}, expected {sum}");
    }

    private static T[] Values<T>(int count, Random random) where T : IBinaryFloatingPointIeee754<T> => [.. Enumerable.Range(0, count).Select(_ => T.CreateTruncating(random.NextDouble() - 0.5))];
}
