using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference.Benchmarks;

/// <summary>Threads that read memory and do nothing else: what bounds decoding, since each token reads every weight.</summary>
internal sealed unsafe class ReadBandwidth : IDisposable
{
    private const int Step = 256; // a cache line in each of four places

    private readonly byte* _start;
    private readonly long _steps;
    private readonly WorkerPool _pool;
    private readonly Action<int> _readPart;
    private readonly long[] _sums;

    /// <summary>Prepares to read.</summary>
    /// <param name="start">The first byte.</param>
    /// <param name="length">Bytes; what is not a whole 256 of them at the end is left out.</param>
    /// <param name="threads">Each reads one contiguous part.</param>
    public ReadBandwidth(byte* start, long length, int threads)
    {
        _start = start;
        _steps = length / Step;
        _sums = new long[threads];
        _readPart = ReadPart;
        _pool = new WorkerPool(threads);
    }

    /// <summary>Bytes that <see cref="ReadAll"/> reads.</summary>
    public long Length => _steps * Step;

    /// <summary>Reads every byte once.</summary>
    public void ReadAll() => _pool.Run(_readPart);

    /// <summary>Ends the threads.</summary>
    public void Dispose() => _pool.Dispose();

    private void ReadPart(int worker)
    {
        var first = _steps * worker / _pool.Workers;
        var end = _steps * (worker + 1) / _pool.Workers;
        _sums[worker] = Sum(_start + first * Step, _start + end * Step); // kept, so that no compiler finds the reading useless
    }

    // In four places at once, and with the hints that the widest kernels give: in one place a thread reads less than it could.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long Sum(byte* from, byte* end)
    {
        var quarter = (end - from) / Step * (Step / 4);
        var (a, b, c, d) = (Vector256<long>.Zero, Vector256<long>.Zero, Vector256<long>.Zero, Vector256<long>.Zero);
        for (end = from + quarter; from < end; from += Step / 4)
        {
            a ^= Line(from);
            b ^= Line(from + quarter);
            c ^= Line(from + 2 * quarter);
            d ^= Line(from + 3 * quarter);
        }
        return Vector256.Sum(a ^ b ^ c ^ d);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<long> Line(byte* from)
    {
        if (Vector512.IsHardwareAccelerated)
            Prefetching.FarLine(from + Prefetching.Distance);
        return Vector256.Load((long*)from) ^ Vector256.Load((long*)from + Vector256<long>.Count);
    }
}
