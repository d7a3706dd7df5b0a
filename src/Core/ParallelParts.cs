using System.Runtime.ExceptionServices;

namespace LlamaFullstack.Core;

/// <summary>Work on a long array, cut into parts that all cores share.</summary>
internal static class ParallelParts
{
    /// <summary>Calls <paramref name="body"/> for each part, in about their order: each core takes the next one that nobody has taken.</summary>
    /// <param name="length">Length of the whole.</param>
    /// <param name="partLength">Length of each part but the last.</param>
    /// <param name="body">Told where a part begins and how long it is. The first exception that it throws is thrown here.</param>
    /// <remarks>Not Parallel.For over the parts, which gives each core a stretch of its own: files are read and written best from front to back.</remarks>
    public static void Run(long length, int partLength, Action<long, int> body)
    {
        var parts = (length + partLength - 1) / partLength;
        void RunPart(long part) => body(part * partLength, (int)Math.Min(partLength, length - part * partLength));
        if (parts <= 1)
        {
            RunPart(0);
            return;
        }
        var next = -1L;
        try
        {
            Parallel.For(0, (int)Math.Min(parts, Environment.ProcessorCount), (_, loop) =>
            {
                for (long part; !loop.IsStopped && (part = Interlocked.Increment(ref next)) < parts;)
                    RunPart(part);
            });
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }
}
