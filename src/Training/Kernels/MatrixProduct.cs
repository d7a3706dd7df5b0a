using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>The matrix product that everything is made of, C = A · B or C += A · B, on one thread: in parts that stay in the caches (<see cref="RegisterSums"/> has those that stay in registers).</summary>
/// <remarks>A value of C is the same whatever part of C is computed with it. Of a first and a second cache about half is counted on: another thread of the core may use the rest.</remarks>
internal static unsafe class MatrixProduct
{
    /// <summary>Rows of A that lie together where its columns are far apart.</summary>
    public const int PackedRows = 24;

    private const int Height = 6; // rows whose sums all registers hold, or twice those
    private const int PanelDepth = 128; // rows of B: in float32 16 KB, 32 KB in 512 bits
    private const int SumDepth = 96; // products that a sum takes up before it is stored, twice as many in 512 bits: in float32 12 and 48 KB of B
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
        var most = 4 * V.Count;
        var evenDepth = Evenly(inner, PanelDepth); // a short rest would load and store C for little work
        var packsA = aRow == 1 && aColumn != PackedRows && rows >= PackedRows;
        var panel = (_memory ??= new()).Take<T>(evenDepth * most + (nint)rows * most + (packsA ? (nint)rows * evenDepth : 0));
        T* edge = panel + evenDepth * most, packedA = edge + (nint)rows * most;
        for (var k = 0; k < inner; k += evenDepth)
        {
            var depth = Math.Min(evenDepth, inner - k);
            var adds = accumulate || k > 0;
            if (packsA)
                PackRows(rows, depth, a + k * aColumn, aColumn, packedA);
            for (var j = 0; j < width; j += most)
            {
                var columns = Math.Min(most, width - j);
                var padded = (columns + lanes - 1) / lanes * lanes;
                T* from = b + k * bRow + j, together = panel;
                if (bRow == padded && columns == padded)
                    together = from;
                else
                    PackPanel(depth, columns, from, bRow, panel, padded);
                T* target = columns < padded ? edge : c + j;
                var step = columns < padded ? padded : cRow;
                if (columns < padded && adds)
                    Copy(rows, columns, c + j, cRow, edge, padded);
                var packed = packsA ? rows / PackedRows * PackedRows : 0;
                for (var i = 0; i < packed; i += PackedRows)
                    RegisterSums.Multiply<V, T>(PackedRows, padded, depth, packedA + (nint)i * depth, 1, PackedRows, together, padded, target + i * step, step, adds);
                RegisterSums.Multiply<V, T>(rows - packed, padded, depth, a + packed * aRow + k * aColumn, aRow, aColumn, together, padded, target + packed * step, step, adds);
                if (columns < padded)
                    Copy(rows, columns, edge, padded, c + j, cRow);
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
    /// <remarks>A block of A stays in the second cache while all B go by, and a panel of each B in the first.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Narrow<V, T>(int rows, int inner, T* a, nint aRow, nint aColumn, T* b, T* c, bool accumulate, int count = 1, nint bStep = 0, nint cStep = 0)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var width = 2 * Vector512<T>.Count;
        var depthOfAll = BlockSize / rows; // all rows, if they are few: each B is then read once
        var blockDepth = Evenly(inner, depthOfAll < PanelDepth ? 3 * PanelDepth : Math.Min(depthOfAll, 3 * PanelDepth));
        var blockRows = Evenly(rows, Math.Max(Height, BlockSize / blockDepth), Height);
        var panelDepth = Evenly(blockDepth, PanelDepth, 4);
        var together = 4 * V.Count / width; // products that share a row of registers
        for (var k = 0; k < inner; k += blockDepth)
        {
            var depth = Math.Min(blockDepth, inner - k);
            for (var first = 0; first < rows; first += blockRows)
            {
                var height = Math.Min(blockRows, rows - first);
                for (int n = 0, taken; n < count; n += taken)
                {
                    taken = together < 2 ? 1 : Math.Min(together, count - n);
                    for (var panel = k; panel < k + depth; panel += panelDepth)
                    {
                        T* left = a + first * aRow + panel * aColumn, right = b + n * bStep + (nint)panel * width, target = c + n * cStep + (nint)first * width;
                        var length = Math.Min(panelDepth, k + depth - panel);
                        if (taken == 1)
                            RegisterSums.Multiply<V, T>(height, width, length, left, aRow, aColumn, right, width, target, width, accumulate || panel > 0);
                        else
                            RegisterSums.Multiply<V, T>(height, 2 * width, length, left, aRow, aColumn, new(right, bStep, width), new(target, cStep, width), accumulate || panel > 0);
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

    /// <summary>C = Σ A · B or C += Σ A · B over many A and B, whose inner side is two cache lines long: tiles of tokens, and the same token by token.</summary>
    /// <param name="row">The first row of C to compute.</param>
    /// <param name="end">The last one and 1.</param>
    /// <param name="width">Columns of B and C.</param>
    /// <param name="tiles">How many A and B there are.</param>
    /// <param name="a">(rows, two cache lines), each.</param>
    /// <param name="aStep">From one A to the next.</param>
    /// <param name="b">As <see cref="TokenTile{T}.ToRows"/> leaves them, each: what a sum reads of one lies together, and its columns are whole blocks.</param>
    /// <param name="bStep">From one B to the next.</param>
    /// <param name="c">(rows, width).</param>
    /// <param name="accumulate">Whether to add to C.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Sum<V, T>(int row, int end, int width, int tiles, T* a, nint aStep, T* b, nint bStep, T* c, bool accumulate)
        where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lanes = Vector512<T>.Count;
        var (inner, depth) = (2 * lanes, SumDepth * (typeof(V) == typeof(Register512<T>) ? 2 : 1) / (2 * lanes));
        var half = 2 * V.Count < inner ? 2 * V.Count : inner * inner; // four registers are a row of a block, or of two
        var edge = (_memory ??= new()).Take<T>((nint)(end - row) * 4 * lanes);
        for (var first = 0; first < tiles; first += depth)
        {
            var count = Math.Min(depth, tiles - first);
            var adds = accumulate || first > 0;
            for (var j = 0; j < width; j += 4 * V.Count)
            {
                var columns = Math.Min(4 * V.Count, width - j);
                var padded = (columns + lanes - 1) / lanes * lanes;
                T* left = a + first * aStep + (nint)row * inner, target = c + (nint)row * width + j;
                var right = new RegisterSums.Halves<T>(b + first * bStep + (nint)(j / inner) * inner * inner + j % inner, half, inner, bStep);
                if (columns == padded)
                {
                    RegisterSums.Multiply<V, T>(end - row, columns, inner, left, inner, 1, right, new(target, 2 * V.Count, width), adds, count, aStep);
                    continue;
                }
                if (adds)
                    Copy(end - row, columns, target, width, edge, padded);
                RegisterSums.Multiply<V, T>(end - row, padded, inner, left, inner, 1, right, new(edge, 2 * V.Count, padded), adds, count, aStep);
                Copy(end - row, columns, edge, padded, target, width);
            }
        }
    }

    /// <summary>Some neighbouring values of each column side by side: where A is transposed its columns lie far apart.</summary>
    private static void PackRows<T>(int rows, int depth, T* a, nint aColumn, T* packed) where T : unmanaged
    {
        for (var i = 0; i + PackedRows <= rows; i += PackedRows)
            for (var k = 0; k < depth; k++)
                Unsafe.CopyBlockUnaligned(packed + (nint)i * depth + k * PackedRows, a + i + k * aColumn, (uint)(PackedRows * sizeof(T)));
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
}
