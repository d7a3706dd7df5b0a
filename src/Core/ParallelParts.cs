using System.Runtime.ExceptionServices;

namespace LlamaFullstack.Core;

/// <summary>Work on a long array, cut into parts that all cores share.</summary>
internal static class ParallelParts
{
    /// <summary>Calls <paramref name="body"/> for each part, in no order.</summary>
    /// <param name="length">Length of the whole.</param>
    /// <param name="partLength">Length of each part but the last.</param>
    /// <param name="body">Told where a part begins and how long it is. The first exception that it throws is thrown here.</param>
    public static void Run(int length, int partLength, Action<int, int> body)
    {
        var parts = (int)(((long)length + partLength - 1) / partLength);
        if (parts <= 1)
        {
            body(0, length);
            return;
        }
        try
        {
            Parallel.For(0, parts, part => body(part * partLength, Math.Min(partLength, length - part * partLength)));
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }
}
