using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>The matrix product that attention is made of: of matrices so small that they stay in a core's own cache and need no packing.</summary>
internal static unsafe class SmallProduct
{
    /// <summary>C = A · B, or C += A · B. Eight sums at a time stay in registers: four rows of two registers.</summary>
    /// <param name="rows">Of A and C.</param>
    /// <param name="inner">Columns of A, rows of B.</param>
    /// <param name="width">Columns of B and C; a multiple of a register's lanes.</param>
    /// <param name="a">A's value (i, k) lies at i · <paramref name="aRow"/> + k · <paramref name="aColumn"/>.</param>
    /// <param name="aRow">Step between A's rows.</param>
    /// <param name="aColumn">Step between A's columns.</param>
    /// <param name="b">(inner, <paramref name="width"/>), row by row.</param>
    /// <param name="c">(rows, <paramref name="width"/>), row by row.</param>
    /// <param name="accumulate">Whether to add to C.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Compute<T>(int rows, int inner, int width, T* a, nint aRow, nint aColumn, T* b, T* c, bool accumulate)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = Vector512<T>.Count;
        var column = 0;
        for (; column + 2 * lanes <= width; column += 2 * lanes)
        {
            var i = 0;
            for (; i + 4 <= rows; i += 4)
                FourRows(inner, width, a + i * aRow, aRow, aColumn, b + column, c + (nint)i * width + column, accumulate);
            for (; i < rows; i++)
            {
                OneRow(inner, width, a + i * aRow, aColumn, b + column, c + (nint)i * width + column, accumulate);
                OneRow(inner, width, a + i * aRow, aColumn, b + column + lanes, c + (nint)i * width + column + lanes, accumulate);
            }
        }
        if (column == width)
            return;
        var row = 0;
        for (; row + 8 <= rows; row += 8)
            EightRows(inner, width, a + row * aRow, aRow, aColumn, b + column, c + (nint)row * width + column, accumulate);
        for (; row < rows; row++)
            OneRow(inner, width, a + row * aRow, aColumn, b + column, c + (nint)row * width + column, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FourRows<T>(int inner, int width, T* a, nint aRow, nint aColumn, T* b, T* c, bool accumulate)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = Vector512<T>.Count;
        Vector512<T> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        if (accumulate)
        {
            (c00, c01) = (Vector512.Load(c), Vector512.Load(c + lanes));
            (c10, c11) = (Vector512.Load(c + width), Vector512.Load(c + width + lanes));
            (c20, c21) = (Vector512.Load(c + 2 * width), Vector512.Load(c + 2 * width + lanes));
            (c30, c31) = (Vector512.Load(c + 3 * width), Vector512.Load(c + 3 * width + lanes));
        }
        for (var k = 0; k < inner; k++)
        {
            var (b0, b1) = (Vector512.Load(b), Vector512.Load(b + lanes));
            var value = Vector512.Create(a[0]);
            c00 = Lanes.MultiplyAdd(value, b0, c00);
            c01 = Lanes.MultiplyAdd(value, b1, c01);
            value = Vector512.Create(a[aRow]);
            c10 = Lanes.MultiplyAdd(value, b0, c10);
            c11 = Lanes.MultiplyAdd(value, b1, c11);
            value = Vector512.Create(a[2 * aRow]);
            c20 = Lanes.MultiplyAdd(value, b0, c20);
            c21 = Lanes.MultiplyAdd(value, b1, c21);
            value = Vector512.Create(a[3 * aRow]);
            c30 = Lanes.MultiplyAdd(value, b0, c30);
            c31 = Lanes.MultiplyAdd(value, b1, c31);
            a += aColumn;
            b += width;
        }
        Vector512.Store(c00, c);
        Vector512.Store(c01, c + lanes);
        Vector512.Store(c10, c + width);
        Vector512.Store(c11, c + width + lanes);
        Vector512.Store(c20, c + 2 * width);
        Vector512.Store(c21, c + 2 * width + lanes);
        Vector512.Store(c30, c + 3 * width);
        Vector512.Store(c31, c + 3 * width + lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void EightRows<T>(int inner, int width, T* a, nint aRow, nint aColumn, T* b, T* c, bool accumulate)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        Vector512<T> c0 = default, c1 = default, c2 = default, c3 = default, c4 = default, c5 = default, c6 = default, c7 = default;
        if (accumulate)
        {
            (c0, c1, c2, c3) = (Vector512.Load(c), Vector512.Load(c + width), Vector512.Load(c + 2 * width), Vector512.Load(c + 3 * width));
            (c4, c5, c6, c7) = (Vector512.Load(c + 4 * width), Vector512.Load(c + 5 * width), Vector512.Load(c + 6 * width), Vector512.Load(c + 7 * width));
        }
        for (var k = 0; k < inner; k++)
        {
            var row = Vector512.Load(b);
            c0 = Lanes.MultiplyAdd(Vector512.Create(a[0]), row, c0);
            c1 = Lanes.MultiplyAdd(Vector512.Create(a[aRow]), row, c1);
            c2 = Lanes.MultiplyAdd(Vector512.Create(a[2 * aRow]), row, c2);
            c3 = Lanes.MultiplyAdd(Vector512.Create(a[3 * aRow]), row, c3);
            c4 = Lanes.MultiplyAdd(Vector512.Create(a[4 * aRow]), row, c4);
            c5 = Lanes.MultiplyAdd(Vector512.Create(a[5 * aRow]), row, c5);
            c6 = Lanes.MultiplyAdd(Vector512.Create(a[6 * aRow]), row, c6);
            c7 = Lanes.MultiplyAdd(Vector512.Create(a[7 * aRow]), row, c7);
            a += aColumn;
            b += width;
        }
        Vector512.Store(c0, c);
        Vector512.Store(c1, c + width);
        Vector512.Store(c2, c + 2 * width);
        Vector512.Store(c3, c + 3 * width);
        Vector512.Store(c4, c + 4 * width);
        Vector512.Store(c5, c + 5 * width);
        Vector512.Store(c6, c + 6 * width);
        Vector512.Store(c7, c + 7 * width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void OneRow<T>(int inner, int width, T* a, nint aColumn, T* b, T* c, bool accumulate)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var sum = accumulate ? Vector512.Load(c) : default;
        for (var k = 0; k < inner; k++)
            sum = Lanes.MultiplyAdd(Vector512.Create(a[k * aColumn]), Vector512.Load(b + (nint)k * width), sum);
        Vector512.Store(sum, c);
    }
}
