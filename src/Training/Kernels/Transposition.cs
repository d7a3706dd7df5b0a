using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Training.Kernels;

/// <summary>Rows to columns.</summary>
internal static unsafe class Transposition
{
    // Values of a row at a time: a cache line of float32, so that each line read is used whole before it is lost.
    private const int Columns = 16;
    private const int Small = 8; // a side of the squares of 256 bits

    /// <summary>to(j, i) = from(i, j).</summary>
    /// <param name="rows">Of <paramref name="from"/>.</param>
    /// <param name="columns">Of <paramref name="from"/>.</param>
    /// <param name="from">(rows, columns).</param>
    /// <param name="fromRow">Step between its rows.</param>
    /// <param name="to">(columns, rows).</param>
    /// <param name="toRow">Step between its rows.</param>
    public static void Compute<T>(int rows, int columns, T* from, nint fromRow, T* to, nint toRow) where T : unmanaged
    {
        for (var first = 0; first < columns; first += Columns)
        {
            var end = Math.Min(columns, first + Columns);
            var start = 0; // row of what is left to be moved one by one
            if (typeof(T) == typeof(float) && Avx512F.IsSupported && end - first == Columns)
            {
                for (; start + Columns <= rows; start += Columns)
                    Square((float*)from + start * fromRow + first, fromRow, (float*)to + first * toRow + start, toRow);
            }
            if (typeof(T) == typeof(float) && Avx.IsSupported && (end - first) % Small == 0)
            {
                for (; start + Small <= rows; start += Small)
                    for (var j = first; j < end; j += Small)
                        SmallSquare((float*)from + start * fromRow + j, fromRow, (float*)to + j * toRow + start, toRow);
            }
            for (var j = first; j < end; j++)
            {
                T* source = from + start * fromRow + j, target = to + j * toRow;
                for (var i = start; i < rows; i++, source += fromRow)
                    target[i] = *source;
            }
        }
    }

    /// <summary>8 rows of 8: pairs of rows are mixed value by value, then pair by pair, then half by half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SmallSquare(float* from, nint fromRow, float* to, nint toRow)
    {
        Vector256<float> Row(int row) => Vector256.Load(from + row * fromRow);
        var (r0, r1, r2, r3, r4, r5, r6, r7) = (Row(0), Row(1), Row(2), Row(3), Row(4), Row(5), Row(6), Row(7));
        var (a0, a1, a2, a3) = (Avx.UnpackLow(r0, r1), Avx.UnpackHigh(r0, r1), Avx.UnpackLow(r2, r3), Avx.UnpackHigh(r2, r3));
        var (b0, b1, b2, b3) = (Avx.UnpackLow(r4, r5), Avx.UnpackHigh(r4, r5), Avx.UnpackLow(r6, r7), Avx.UnpackHigh(r6, r7));
        const byte Low = 0b01_00_01_00, High = 0b11_10_11_10;
        Halves(Avx.Shuffle(a0, a2, Low), Avx.Shuffle(b0, b2, Low), to, to + 4 * toRow);
        Halves(Avx.Shuffle(a0, a2, High), Avx.Shuffle(b0, b2, High), to + toRow, to + 5 * toRow);
        Halves(Avx.Shuffle(a1, a3, Low), Avx.Shuffle(b1, b3, Low), to + 2 * toRow, to + 6 * toRow);
        Halves(Avx.Shuffle(a1, a3, High), Avx.Shuffle(b1, b3, High), to + 3 * toRow, to + 7 * toRow);
    }

    /// <summary>Stores the lower halves of two registers in one place and the upper ones in another.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Halves(Vector256<float> first, Vector256<float> second, float* lower, float* upper)
    {
        Avx.Permute2x128(first, second, 0x20).Store(lower);
        Avx.Permute2x128(first, second, 0x31).Store(upper);
    }

    /// <summary>16 rows of 16: four times, each row and a partner exchange the halves of their blocks of 16, 8, 4 and 2.</summary>
    private static void Square(float* from, nint fromRow, float* to, nint toRow)
    {
        Vector512<float> Row(int row) => Vector512.Load(from + row * fromRow);
        var (r0, r1, r2, r3, r4, r5, r6, r7) = (Row(0), Row(1), Row(2), Row(3), Row(4), Row(5), Row(6), Row(7));
        var (r8, r9, r10, r11, r12, r13, r14, r15) = (Row(8), Row(9), Row(10), Row(11), Row(12), Row(13), Row(14), Row(15));
        Exchange(8, ref r0, ref r8);
        Exchange(8, ref r1, ref r9);
        Exchange(8, ref r2, ref r10);
        Exchange(8, ref r3, ref r11);
        Exchange(8, ref r4, ref r12);
        Exchange(8, ref r5, ref r13);
        Exchange(8, ref r6, ref r14);
        Exchange(8, ref r7, ref r15);
        Quarter(ref r0, ref r1, ref r2, ref r3, ref r4, ref r5, ref r6, ref r7);
        Quarter(ref r8, ref r9, ref r10, ref r11, ref r12, ref r13, ref r14, ref r15);
        Vector512.Store(r0, to);
        Vector512.Store(r1, to + toRow);
        Vector512.Store(r2, to + 2 * toRow);
        Vector512.Store(r3, to + 3 * toRow);
        Vector512.Store(r4, to + 4 * toRow);
        Vector512.Store(r5, to + 5 * toRow);
        Vector512.Store(r6, to + 6 * toRow);
        Vector512.Store(r7, to + 7 * toRow);
        Vector512.Store(r8, to + 8 * toRow);
        Vector512.Store(r9, to + 9 * toRow);
        Vector512.Store(r10, to + 10 * toRow);
        Vector512.Store(r11, to + 11 * toRow);
        Vector512.Store(r12, to + 12 * toRow);
        Vector512.Store(r13, to + 13 * toRow);
        Vector512.Store(r14, to + 14 * toRow);
        Vector512.Store(r15, to + 15 * toRow);
    }

    /// <summary>The three exchanges that stay within eight rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quarter(
        ref Vector512<float> a, ref Vector512<float> b, ref Vector512<float> c, ref Vector512<float> d,
        ref Vector512<float> e, ref Vector512<float> f, ref Vector512<float> g, ref Vector512<float> h)
    {
        Exchange(4, ref a, ref e);
        Exchange(4, ref b, ref f);
        Exchange(4, ref c, ref g);
        Exchange(4, ref d, ref h);
        Exchange(2, ref a, ref c);
        Exchange(2, ref b, ref d);
        Exchange(2, ref e, ref g);
        Exchange(2, ref f, ref h);
        Exchange(1, ref a, ref b);
        Exchange(1, ref c, ref d);
        Exchange(1, ref e, ref f);
        Exchange(1, ref g, ref h);
    }

    /// <summary>Of each two neighbouring groups of so many lanes, the upper row's right one and the lower row's left one change places.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Exchange(int lanes, ref Vector512<float> upper, ref Vector512<float> lower)
    {
        var (left, right) = lanes switch
        {
            8 => (Vector512.Create(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), Vector512.Create(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)),
            4 => (Vector512.Create(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27), Vector512.Create(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31)),
            2 => (Vector512.Create(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29), Vector512.Create(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)),
            _ => (Vector512.Create(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30), Vector512.Create(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)),
        };
        (upper, lower) = (Avx512F.PermuteVar16x32x2(upper, left, lower), Avx512F.PermuteVar16x32x2(upper, right, lower));
    }
}
