namespace LlamaFullstack.Training.Kernels;

/// <summary>Rows to columns.</summary>
internal static unsafe class Transposition
{
    // Values of a row at a time: a cache line of float32, so that each line read is used whole before it is lost.
    private const int Columns = 16;

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
            for (var j = first; j < end; j++)
            {
                T* source = from + j, target = to + j * toRow;
                var i = 0;
                for (; i + 4 <= rows; i += 4)
                {
                    target[i] = source[0];
                    target[i + 1] = source[fromRow];
                    target[i + 2] = source[2 * fromRow];
                    target[i + 3] = source[3 * fromRow];
                    source += 4 * fromRow;
                }
                for (; i < rows; i++, source += fromRow)
                    target[i] = *source;
            }
        }
    }
}
