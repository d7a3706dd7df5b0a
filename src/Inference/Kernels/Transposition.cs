using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference.Kernels;

/// <summary>Rows to columns: between a token's features, which lie together outside of batches, and a feature's tokens, which do so in a tile.</summary>
internal static unsafe class Transposition
{
    private const int Side = 4;

    /// <summary>to[c][r] = from[r][c].</summary>
    /// <param name="from">(rows, cols).</param>
    /// <param name="fromStride">Floats from one of its rows to the next.</param>
    /// <param name="to">(cols, rows); must not overlap <paramref name="from"/>.</param>
    /// <param name="toStride">Floats from one of its rows to the next.</param>
    /// <param name="rows">Of <paramref name="from"/>.</param>
    /// <param name="cols">Of <paramref name="from"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(float* from, nint fromStride, float* to, nint toStride, int rows, int cols)
    {
        var (squareRows, squareCols) = Sse.IsSupported ? (rows / Side * Side, cols / Side * Side) : (0, 0);
        for (var row = 0; row < squareRows; row += Side)
            for (var col = 0; col < squareCols; col += Side)
                Square(from + row * fromStride + col, fromStride, to + col * toStride + row, toStride);
        for (var row = 0; row < rows; row++)
            for (var col = row < squareRows ? squareCols : 0; col < cols; col++)
                to[col * toStride + row] = from[row * fromStride + col];
    }

    /// <summary>Four rows of four in registers: value by value, then pair by pair.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Square(float* from, nint fromStride, float* to, nint toStride)
    {
        var (a, b) = (Vector128.Load(from), Vector128.Load(from + fromStride));
        var (c, d) = (Vector128.Load(from + 2 * fromStride), Vector128.Load(from + 3 * fromStride));
        var (ab, cd) = (Sse.UnpackLow(a, b), Sse.UnpackLow(c, d));
        Sse.MoveLowToHigh(ab, cd).Store(to);
        Sse.MoveHighToLow(cd, ab).Store(to + toStride);
        (ab, cd) = (Sse.UnpackHigh(a, b), Sse.UnpackHigh(c, d));
        Sse.MoveLowToHigh(ab, cd).Store(to + 2 * toStride);
        Sse.MoveHighToLow(cd, ab).Store(to + 3 * toStride);
    }
}
