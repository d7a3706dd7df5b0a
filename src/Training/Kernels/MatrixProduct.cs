using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>The matrix product that everything is made of, C = A · B or C += A · B, on one thread.</summary>
/// <remarks>
/// Eight rows of up to three registers of 512 bits of C stay in registers: 24 sums, which hide the latency of the multiply-add units, from
/// 11 loads. Narrower registers are but sixteen, and hold three rows of four: 12 sums from 7 loads. A panel of B, as wide as these, stays
/// in the first cache while all rows of A go by. A value of C is the same whatever part of C is computed with it; of <see cref="Sum"/> in
/// 512 bits, whatever rows in blocks of eight.
/// </remarks>
internal static unsafe class MatrixProduct
{
    /// <summary>Rows of C that stay in registers.</summary>
    public const int Rows = 8;

    private const int Registers = 3; // of each of these rows

    // Most rows of B in a panel: with 48 columns of float32 36 KB, of the 48 KB of a first cache.
    private const int MaxDepth = 192;

    // For sixteen registers. Of a first and a second cache about half is counted on: another thread of the core may use the rest.
    private const int PanelDepth = 128; // rows of B: in float32 16 KB
    private const int BlockSize = 1 << 16; // values of A: in float32 256 KB

    [ThreadStatic]
    private static ThreadMemory? _memory; // a panel of B, and of A as many rows as there are in a call

    /// <summary>C = A · B, or C += A · B.</summary>
    /// <param name="rows">Of A and C.</param>
    /// <param name="inner">Columns of A, rows of B.</param>
    /// <param name="width">Columns of B and C.</param>
    /// <param name="a">A's value (i, k) lies at i · <paramref name="aRow"/> + k · <paramref name="aColumn"/>.</param>
    /// <param name="aRow">Step between A's rows.</param>
    /// <param name="aColumn">Step between A's columns.</param>
    /// <param name="b">B's value (k, j) lies at k · <paramref name="bRow"/> + j.</param>
    /// <param name="bRow">Step between B's rows.</param>
    /// <param name="c">C's value (i, j) lies at i · <paramref name="cRow"/> + j.</param>
    /// <param name="cRow">Step between C's rows.</param>
    /// <param name="accumulate">Whether to add to C.</param>
    public static void Compute<V, T>(int rows, int inner, int width, T* a, nint aRow, nint aColumn, T* b, nint bRow, T* c, nint cRow, bool accumulate)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = Vector512<T>.Count;
        var depths = (inner + MaxDepth - 1) / MaxDepth;
        var evenDepth = (inner + depths - 1) / depths; // a short rest would load and store C for little work
        var packsA = aRow == 1 && aColumn != Rows && rows >= Rows;
        var panel = (_memory ??= new()).Take<T>(evenDepth * Registers * lanes + Rows * Registers * lanes + (packsA ? rows * evenDepth : 0));
        T* edge = panel + evenDepth * Registers * lanes, packedA = edge + Rows * Registers * lanes;
        for (var k = 0; k < inner; k += evenDepth)
        {
            var depth = Math.Min(evenDepth, inner - k);
            if (packsA)
                PackRows(rows, depth, a + k * aColumn, aColumn, packedA);
            for (var j = 0; j < width; j += Registers * lanes)
            {
                var columns = Math.Min(Registers * lanes, width - j);
                var padded = (columns + lanes - 1) / lanes * lanes;
                T* from = b + k * bRow + j, together = panel;
                if (bRow == padded && columns == padded)
                    together = from;
                else
                    PackPanel(depth, columns, from, bRow, panel, padded);
                for (var i = 0; i < rows; i += Rows)
                {
                    var count = Math.Min(Rows, rows - i);
                    T* tile = packsA && count == Rows ? packedA + (nint)i * depth : a + i * aRow + k * aColumn;
                    var (tileRow, tileColumn) = packsA && count == Rows ? (1, Rows) : (aRow, aColumn);
                    T* target = c + i * cRow + j;
                    if (columns == padded)
                    {
                        Tile<V, T>(count, padded, depth, tile, tileRow, tileColumn, together, target, cRow, accumulate || k > 0);
                        continue;
                    }
                    if (accumulate || k > 0)
                        Copy(count, columns, target, cRow, edge, padded);
                    Tile<V, T>(count, padded, depth, tile, tileRow, tileColumn, together, edge, padded, accumulate || k > 0);
                    Copy(count, columns, edge, padded, target, cRow);
                }
            }
        }
    }

    /// <summary>C = A · B, or C += A · B, where B and C are two cache lines wide and lie row after row.</summary>
    /// <param name="rows">Of A and C.</param>
    /// <param name="inner">Columns of A, rows of B.</param>
    /// <param name="a">As in <see cref="Compute"/>.</param>
    /// <param name="aRow">Step between A's rows.</param>
    /// <param name="aColumn">Step between A's columns.</param>
    /// <param name="b">(inner, two cache lines).</param>
    /// <param name="c">(rows, two cache lines).</param>
    /// <param name="accumulate">Whether to add to C.</param>
    /// <param name="count">How many B there are for the same A, so that it is read once.</param>
    /// <param name="bStep">From one to the next.</param>
    /// <param name="cStep">The same of C.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Narrow<V, T>(int rows, int inner, T* a, nint aRow, nint aColumn, T* b, T* c, bool accumulate, int count = 1, nint bStep = 0, nint cStep = 0)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (typeof(V) != typeof(Register512<T>))
        {
            NarrowInBlocks<V, T>(rows, inner, a, aRow, aColumn, b, c, accumulate, count, bStep, cStep);
            return;
        }
        var width = 2 * Vector512<T>.Count;
        for (var i = 0; i < rows; i += Rows)
        {
            if (i + Rows > rows && !accumulate && rows >= Rows)
                i = rows - Rows; // some rows once more: cheaper than one by one
            if (i + Rows <= rows)
            {
                for (var n = 0; n < count; n++)
                    EightRows<V, T, Two>(inner, a + i * aRow, aRow, aColumn, b + n * bStep, width, c + n * cStep + i * width, width, accumulate);
                continue;
            }
            for (var row = i; row < rows; row++)
                for (var n = 0; n < count; n++)
                    for (var j = 0; j < width; j += width / 2)
                        OneRow<V, T>(Vector512<T>.Count, inner, a + row * aRow, aColumn, b + n * bStep + j, width, c + n * cStep + row * width + j, accumulate);
        }
    }

    /// <summary>The same in registers of which there are but sixteen: a block of A stays in the second cache while all B go by, and a panel of each B in the first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void NarrowInBlocks<V, T>(int rows, int inner, T* a, nint aRow, nint aColumn, T* b, T* c, bool accumulate, int count, nint bStep, nint cStep)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var width = 2 * Vector512<T>.Count;
        var blockDepth = Evenly(inner, 3 * PanelDepth);
        var blockRows = Evenly(rows, Math.Max(3, BlockSize / blockDepth), 3);
        var panelDepth = Evenly(blockDepth, PanelDepth, 4);
        for (var k = 0; k < inner; k += blockDepth)
        {
            var depth = Math.Min(blockDepth, inner - k);
            for (var first = 0; first < rows; first += blockRows)
            {
                var end = Math.Min(rows, first + blockRows);
                for (var n = 0; n < count; n++)
                {
                    for (var panel = k; panel < k + depth; panel += panelDepth)
                    {
                        T* right = b + n * bStep + (nint)panel * width, target = c + n * cStep;
                        var length = Math.Min(panelDepth, k + depth - panel);
                        SixteenRegisters.Multiply<V, T>(end - first, width, length, a + first * aRow + panel * aColumn, aRow, aColumn, right, width, target + (nint)first * width, width, accumulate || panel > 0);
                    }
                }
            }
        }
    }

    /// <summary>The length of equal parts, as few as can be, each at most so long but for being rounded up to a multiple.</summary>
    private static int Evenly(int length, int most, int multiple = 1)
    {
        var parts = (length + most - 1) / most;
        return ((length + parts - 1) / parts + multiple - 1) / multiple * multiple;
    }

    /// <summary>C = Σ A · B or C += Σ A · B over many A and B, whose inner side is two cache lines long, and which lie as tiles of tokens do.</summary>
    /// <param name="row">The first row of C to compute.</param>
    /// <param name="end">The last one and 1.</param>
    /// <param name="width">Columns of B and C.</param>
    /// <param name="tiles">How many A and B there are.</param>
    /// <param name="a">(rows, two cache lines), each; eight rows or more, whatever part of C is asked for.</param>
    /// <param name="aStep">From one A to the next.</param>
    /// <param name="b">(two cache lines, width), each.</param>
    /// <param name="bRow">Step between B's rows; there are values, of no importance, up to whole cache lines.</param>
    /// <param name="bStep">From one B to the next.</param>
    /// <param name="c">(rows, width).</param>
    /// <param name="accumulate">Whether to add to C.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Sum<V, T>(int row, int end, int width, int tiles, T* a, nint aStep, T* b, nint bRow, nint bStep, T* c, bool accumulate)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = Vector512<T>.Count;
        var (inner, depth) = (2 * lanes, MaxDepth / (2 * lanes));
        var edge = (_memory ??= new()).Take<T>(Rows * Registers * lanes);
        for (var first = 0; first < tiles; first += depth)
        {
            var count = Math.Min(depth, tiles - first);
            var adds = accumulate || first > 0;
            for (int j = 0, registers; j < width; j += registers * lanes)
            {
                var left = (width - j + lanes - 1) / lanes;
                registers = typeof(V) != typeof(Register512<T>) ? Math.Min(2, left) : left == 4 ? 2 : Math.Min(Registers, left); // two and two: one alone is bound by loads
                var columns = Math.Min(registers * lanes, width - j);
                if (typeof(V) != typeof(Register512<T>) && columns == registers * lanes)
                {
                    SixteenRegisters.Multiply<V, T>(end - row, columns, inner, a + first * aStep + (nint)row * inner, inner, 1, b + first * bStep + j, bRow, c + (nint)row * width + j, width, adds, count, aStep, bStep);
                    continue;
                }
                for (var i = row; i < end; i += Rows)
                {
                    var start = Math.Max(0, Math.Min(i, end - Rows)); // a short rest is computed with rows before it
                    var whole = start == i && i + Rows <= end && columns == registers * lanes;
                    T* target = whole ? c + (nint)i * width + j : edge, from = a + first * aStep + (nint)start * inner, right = b + first * bStep + j;
                    var targetRow = whole ? width : registers * lanes;
                    if (registers == 3)
                        EightRows<V, T, Three>(inner, from, inner, 1, right, bRow, target, targetRow, whole && adds, count, aStep, bStep);
                    else if (registers == 2)
                        EightRows<V, T, Two>(inner, from, inner, 1, right, bRow, target, targetRow, whole && adds, count, aStep, bStep);
                    else
                        EightRows<V, T, One>(inner, from, inner, 1, right, bRow, target, targetRow, whole && adds, count, aStep, bStep);
                    if (whole)
                        continue;
                    for (var r = i; r < Math.Min(end, start + Rows); r++)
                        for (var k = 0; k < columns; k++)
                            c[(nint)r * width + j + k] = edge[(r - start) * targetRow + k] + (adds ? c[(nint)r * width + j + k] : T.Zero);
                }
            }
        }
    }

    /// <summary>Eight neighbouring values of each column side by side: where A is transposed its columns lie far apart.</summary>
    private static void PackRows<T>(int rows, int depth, T* a, nint aColumn, T* packed) where T : unmanaged
    {
        for (var i = 0; i + Rows <= rows; i += Rows)
            for (var k = 0; k < depth; k++)
                Unsafe.CopyBlockUnaligned(packed + (nint)i * depth + k * Rows, a + i + k * aColumn, (uint)(Rows * sizeof(T)));
    }

    /// <summary>Columns of B side by side, with zeros up to a whole register.</summary>
    private static void PackPanel<T>(int depth, int columns, T* b, nint bRow, T* panel, int padded) where T : unmanaged
    {
        if (columns < padded)
            new Span<T>(panel, depth * padded).Clear();
        Copy(depth, columns, b, bRow, panel, padded);
    }

    private static void Copy<T>(int rows, int columns, T* from, nint fromRow, T* to, nint toRow) where T : unmanaged
    {
        for (var i = 0; i < rows; i++)
            Unsafe.CopyBlockUnaligned(to + i * toRow, from + i * fromRow, (uint)(columns * sizeof(T)));
    }

    /// <summary>At most eight rows and three registers of C, for a panel of B.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile<V, T>(int rows, int width, int inner, T* a, nint aRow, nint aColumn, T* b, T* c, nint cRow, bool accumulate)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = Vector512<T>.Count;
        if (rows < Rows)
        {
            for (var i = 0; i < rows; i++)
                for (var j = 0; j < width; j += lanes)
                    OneRow<V, T>(Vector512<T>.Count, inner, a + i * aRow, aColumn, b + j, width, c + i * cRow + j, accumulate);
        }
        else if (width == 3 * lanes)
        {
            EightRows<V, T, Three>(inner, a, aRow, aColumn, b, width, c, cRow, accumulate);
        }
        else if (width == 2 * lanes)
        {
            EightRows<V, T, Two>(inner, a, aRow, aColumn, b, width, c, cRow, accumulate);
        }
        else
        {
            EightRows<V, T, One>(inner, a, aRow, aColumn, b, width, c, cRow, accumulate);
        }
    }

    /// <summary>Eight rows of one to three registers, of one product or of the sum of several. The number of registers is a type, so that the compiler leaves out what is not there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void EightRows<V, T, TWidth>(int inner, T* a, nint aRow, nint aColumn, T* b, nint bRow, T* c, nint cRow, bool accumulate, int count = 1, nint aStep = 0, nint bStep = 0)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where TWidth : struct, INumber
    {
        if (typeof(V) != typeof(Register512<T>))
        {
            SixteenRegisters.Multiply<V, T>(Rows, TWidth.Value * Vector512<T>.Count, inner, a, aRow, aColumn, b, bRow, c, cRow, accumulate, count, aStep, bStep);
            return;
        }
        var lanes = Vector512<T>.Count;
        Vector512<T> c00 = default, c01 = default, c02 = default;
        Vector512<T> c10 = default, c11 = default, c12 = default;
        Vector512<T> c20 = default, c21 = default, c22 = default;
        Vector512<T> c30 = default, c31 = default, c32 = default;
        Vector512<T> c40 = default, c41 = default, c42 = default;
        Vector512<T> c50 = default, c51 = default, c52 = default;
        Vector512<T> c60 = default, c61 = default, c62 = default;
        Vector512<T> c70 = default, c71 = default, c72 = default;
        if (accumulate)
        {
            c00 = Vector512.Load(c);
            c10 = Vector512.Load(c + cRow);
            c20 = Vector512.Load(c + 2 * cRow);
            c30 = Vector512.Load(c + 3 * cRow);
            c40 = Vector512.Load(c + 4 * cRow);
            c50 = Vector512.Load(c + 5 * cRow);
            c60 = Vector512.Load(c + 6 * cRow);
            c70 = Vector512.Load(c + 7 * cRow);
            if (TWidth.Value > 1)
            {
                c01 = Vector512.Load(c + lanes);
                c11 = Vector512.Load(c + cRow + lanes);
                c21 = Vector512.Load(c + 2 * cRow + lanes);
                c31 = Vector512.Load(c + 3 * cRow + lanes);
                c41 = Vector512.Load(c + 4 * cRow + lanes);
                c51 = Vector512.Load(c + 5 * cRow + lanes);
                c61 = Vector512.Load(c + 6 * cRow + lanes);
                c71 = Vector512.Load(c + 7 * cRow + lanes);
            }
            if (TWidth.Value > 2)
            {
                c02 = Vector512.Load(c + 2 * lanes);
                c12 = Vector512.Load(c + cRow + 2 * lanes);
                c22 = Vector512.Load(c + 2 * cRow + 2 * lanes);
                c32 = Vector512.Load(c + 3 * cRow + 2 * lanes);
                c42 = Vector512.Load(c + 4 * cRow + 2 * lanes);
                c52 = Vector512.Load(c + 5 * cRow + 2 * lanes);
                c62 = Vector512.Load(c + 6 * cRow + 2 * lanes);
                c72 = Vector512.Load(c + 7 * cRow + 2 * lanes);
            }
        }
        var aThree = 3 * aRow;
        // From the last column of one A to the first of the next.
        (aStep, bStep) = (aStep - inner * aColumn, bStep - inner * bRow);
        for (; count > 0; count--, a += aStep, b += bStep)
        {
            for (var k = 0; k < inner; k++)
            {
                var aMiddle = a + 4 * aRow;
                var b0 = Vector512.Load(b);
                var b1 = TWidth.Value > 1 ? Vector512.Load(b + lanes) : default;
                var b2 = TWidth.Value > 2 ? Vector512.Load(b + 2 * lanes) : default;
                var value = Vector512.Create(a[0]);
                c00 = Lanes.MultiplyAdd(value, b0, c00);
                if (TWidth.Value > 1)
                    c01 = Lanes.MultiplyAdd(value, b1, c01);
                if (TWidth.Value > 2)
                    c02 = Lanes.MultiplyAdd(value, b2, c02);
                value = Vector512.Create(a[aRow]);
                c10 = Lanes.MultiplyAdd(value, b0, c10);
                if (TWidth.Value > 1)
                    c11 = Lanes.MultiplyAdd(value, b1, c11);
                if (TWidth.Value > 2)
                    c12 = Lanes.MultiplyAdd(value, b2, c12);
                value = Vector512.Create(a[2 * aRow]);
                c20 = Lanes.MultiplyAdd(value, b0, c20);
                if (TWidth.Value > 1)
                    c21 = Lanes.MultiplyAdd(value, b1, c21);
                if (TWidth.Value > 2)
                    c22 = Lanes.MultiplyAdd(value, b2, c22);
                value = Vector512.Create(a[aThree]);
                c30 = Lanes.MultiplyAdd(value, b0, c30);
                if (TWidth.Value > 1)
                    c31 = Lanes.MultiplyAdd(value, b1, c31);
                if (TWidth.Value > 2)
                    c32 = Lanes.MultiplyAdd(value, b2, c32);
                value = Vector512.Create(aMiddle[0]);
                c40 = Lanes.MultiplyAdd(value, b0, c40);
                if (TWidth.Value > 1)
                    c41 = Lanes.MultiplyAdd(value, b1, c41);
                if (TWidth.Value > 2)
                    c42 = Lanes.MultiplyAdd(value, b2, c42);
                value = Vector512.Create(aMiddle[aRow]);
                c50 = Lanes.MultiplyAdd(value, b0, c50);
                if (TWidth.Value > 1)
                    c51 = Lanes.MultiplyAdd(value, b1, c51);
                if (TWidth.Value > 2)
                    c52 = Lanes.MultiplyAdd(value, b2, c52);
                value = Vector512.Create(aMiddle[2 * aRow]);
                c60 = Lanes.MultiplyAdd(value, b0, c60);
                if (TWidth.Value > 1)
                    c61 = Lanes.MultiplyAdd(value, b1, c61);
                if (TWidth.Value > 2)
                    c62 = Lanes.MultiplyAdd(value, b2, c62);
                value = Vector512.Create(aMiddle[aThree]);
                c70 = Lanes.MultiplyAdd(value, b0, c70);
                if (TWidth.Value > 1)
                    c71 = Lanes.MultiplyAdd(value, b1, c71);
                if (TWidth.Value > 2)
                    c72 = Lanes.MultiplyAdd(value, b2, c72);
                a += aColumn;
                b += bRow;
            }
        }
        Vector512.Store(c00, c);
        Vector512.Store(c10, c + cRow);
        Vector512.Store(c20, c + 2 * cRow);
        Vector512.Store(c30, c + 3 * cRow);
        Vector512.Store(c40, c + 4 * cRow);
        Vector512.Store(c50, c + 5 * cRow);
        Vector512.Store(c60, c + 6 * cRow);
        Vector512.Store(c70, c + 7 * cRow);
        if (TWidth.Value > 1)
        {
            Vector512.Store(c01, c + lanes);
            Vector512.Store(c11, c + cRow + lanes);
            Vector512.Store(c21, c + 2 * cRow + lanes);
            Vector512.Store(c31, c + 3 * cRow + lanes);
            Vector512.Store(c41, c + 4 * cRow + lanes);
            Vector512.Store(c51, c + 5 * cRow + lanes);
            Vector512.Store(c61, c + 6 * cRow + lanes);
            Vector512.Store(c71, c + 7 * cRow + lanes);
        }
        if (TWidth.Value > 2)
        {
            Vector512.Store(c02, c + 2 * lanes);
            Vector512.Store(c12, c + cRow + 2 * lanes);
            Vector512.Store(c22, c + 2 * cRow + 2 * lanes);
            Vector512.Store(c32, c + 3 * cRow + 2 * lanes);
            Vector512.Store(c42, c + 4 * cRow + 2 * lanes);
            Vector512.Store(c52, c + 5 * cRow + 2 * lanes);
            Vector512.Store(c62, c + 6 * cRow + 2 * lanes);
            Vector512.Store(c72, c + 7 * cRow + 2 * lanes);
        }
    }

    /// <summary>One row of C, a register at a time.</summary>
    internal static void OneRow<V, T>(int width, int inner, T* a, nint aColumn, T* b, nint bRow, T* c, bool accumulate)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (var lane = 0; lane < width; lane += V.Count)
        {
            V sum = accumulate ? V.Load(c + lane) : default;
            for (var k = 0; k < inner; k++)
                sum = V.MultiplyAdd(V.Create(a[k * aColumn]), V.Load(b + k * bRow + lane), sum);
            sum.Store(c + lane);
        }
    }
}
