using System.Buffers;

namespace LlamaFullstack.Core;

/// <summary>Some rows of a tensor.</summary>
/// <param name="start">The first value, counted from the tensor's first.</param>
/// <param name="values">Whole rows.</param>
/// <returns>Largest and summed error of what they became; 0 where they became nothing else.</returns>
public delegate (float Max, double Sum) TensorPart(long start, ReadOnlySpan<float> values);

/// <summary>
/// A tensor from its source to where it goes, some rows at a time on all cores: reading, converting and writing overlap, and only the rows at
/// hand are in memory, whatever the tensor's size.
/// </summary>
public static class TensorParts
{
    // 256 KB as float32: with what they become, these stay in a core's cache from reading to writing.
    private const int PartLength = 1 << 16;

    /// <summary>Reads a tensor and hands out its rows.</summary>
    /// <param name="source">The weights.</param>
    /// <param name="tensor">Which tensor.</param>
    /// <param name="take">Takes some rows; called by several threads at once, in no order.</param>
    /// <returns>Largest and mean error of all values. The same for every number of threads.</returns>
    /// <exception cref="InvalidDataException">The source is damaged.</exception>
    public static (float Max, double Mean) ForEach(ITensorSource source, TensorShape tensor, TensorPart take)
    {
        var (rows, cols) = (Math.Max(1, tensor.Rows), tensor.Cols);
        var rowsOfPart = Math.Clamp(PartLength / cols, 1, rows);
        var errors = new (float Max, double Sum)[(rows + rowsOfPart - 1) / rowsOfPart];
        ParallelParts.Run(rows, rowsOfPart, (row, count) =>
        {
            var values = ArrayPool<float>.Shared.Rent(count * cols);
            source.Read(tensor.Name, row * cols, values.AsSpan(0, count * cols));
            errors[row / rowsOfPart] = take(row * cols, values.AsSpan(0, count * cols));
            ArrayPool<float>.Shared.Return(values);
        });
        return (errors.Max(part => part.Max), errors.Sum(part => part.Sum) / tensor.Length);
    }
}
