using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference.Benchmarks;

/// <summary>Threads that read memory and do nothing else: what bounds decoding, since each token reads every weight.</summary>
internal sealed unsafe class ReadBandwidth : IDisposable
{
    private const int Line = 64; // of the cache
    private const int Step = 4 * Line; // one in each of four places

    private readonly byte* _start;
    private readonly long _steps;
    private readonly WorkerPool _pool;
    private readonly Action<int> _read;
    private readonly Action<int> _readWithHints;
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
        _read = Read<NoHints>;
        _readWithHints = KernelSets.IsZen4 ? Read<FarHints> : Read<NearHints>;
        _pool = new WorkerPool(threads);
    }

    /// <summary>Bytes that <see cref="ReadAll"/> reads.</summary>
    public long Length => _steps * Step;

    /// <summary>Reads every byte once.</summary>
    public void ReadAll() => _pool.Run(_read);

    /// <summary>The same, telling the memory system what comes, as the kernels of 512 bits do: faster from memory, slower from the second cache.</summary>
    public void ReadAllWithHints() => _pool.Run(_readWithHints);

    /// <summary>Ends the threads.</summary>
    public void Dispose() => _pool.Dispose();

    private void Read<THints>(int worker) where THints : struct, IHints
    {
        var first = _start + _steps * worker / _pool.Workers * Step;
        var end = _start + _steps * (worker + 1) / _pool.Workers * Step;
        _sums[worker] = Sum<THints>(first, end); // kept, so that no compiler finds the reading useless
    }

    // In four places at once: in one a thread reads less than it could.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long Sum<THints>(byte* from, byte* end) where THints : struct, IHints
    {
        var quarter = (end - from) / Step * Line;
        var sums = Vector256<long>.Zero;
        for (end = from + quarter; from < end; from += Line)
            sums ^= Read<THints>(from) ^ Read<THints>(from + quarter) ^ Read<THints>(from + 2 * quarter) ^ Read<THints>(from + 3 * quarter);
        return Vector256.Sum(sums);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<long> Read<THints>(byte* from) where THints : struct, IHints
    {
        THints.Give(from);
        return Vector256.Load((long*)from) ^ Vector256.Load((long*)from + Vector256<long>.Count);
    }
}
