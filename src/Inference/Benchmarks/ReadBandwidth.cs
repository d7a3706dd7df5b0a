using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference.Benchmarks;

/// <summary>Threads that read memory and do nothing else: what bounds decoding, since each token reads every weight.</summary>
internal sealed unsafe class ReadBandwidth
{
    private const int LineBytes = 64; // of the cache
    private const int Step = 4 * LineBytes; // one in each of four places

    private readonly byte* _start;
    private readonly long _steps;
    private readonly int _perWorker;
    private readonly int[] _taken; // of each worker's pieces
    private readonly WorkerPool _pool;
    private readonly Action<int> _read;
    private readonly Action<int> _readWithHints;
    private readonly long[] _sums;

    /// <summary>Prepares to read.</summary>
    /// <param name="start">The first byte.</param>
    /// <param name="length">Bytes; what is not a whole 256 of them at the end is left out.</param>
    /// <param name="pool">Each of its threads reads its own part, in pieces like those of decoding, and then what is left of the others': one that is slow for a while holds up no one.</param>
    public ReadBandwidth(byte* start, long length, WorkerPool pool)
    {
        _start = start;
        _steps = length / Step;
        _pool = pool;
        _perWorker = SharedPieces.PerWorker(int.MaxValue, length, pool.Workers);
        _taken = new int[pool.Workers];
        _sums = new long[pool.Workers];
        _read = ReadPieces<NoHints>;
        _readWithHints = KernelSets.IsZen4 ? ReadPieces<FarHints> : ReadPieces<NearHints>;
    }

    /// <summary>Bytes that <see cref="ReadAll"/> reads.</summary>
    public long Length => _steps * Step;

    /// <summary>The sum, modulo 2^64, of all 64-bit numbers that were read so far: kept, so that no compiler finds the reading useless.</summary>
    public long Sum => _sums.Aggregate(0L, (sum, read) => sum + read);

    /// <summary>Reads every byte once.</summary>
    public void ReadAll() => Run(_read);

    /// <summary>The same, telling the memory system what comes, as the kernels of 512 bits do: faster from memory, slower from the second cache.</summary>
    public void ReadAllWithHints() => Run(_readWithHints);

    private void Run(Action<int> read)
    {
        Array.Clear(_taken);
        _pool.Run(read);
    }

    private void ReadPieces<THints>(int worker) where THints : struct, IHints
    {
        var pieces = _perWorker * _taken.Length;
        for (var i = 0; i < _taken.Length; i++)
        {
            var owner = (worker + i) % _taken.Length;
            for (int taken; (taken = Interlocked.Increment(ref _taken[owner])) <= _perWorker;)
            {
                var end = owner * _perWorker + taken;
                var (from, to) = (_steps * (end - 1) / pieces, _steps * end / pieces);
                _sums[worker] += Add<THints>(_start + from * Step, _start + to * Step);
            }
        }
    }

    // In four places at once: in one a thread reads less than it could.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long Add<THints>(byte* from, byte* end) where THints : struct, IHints
    {
        var quarter = (end - from) / Step * LineBytes;
        var sums = Vector256<long>.Zero;
        for (end = from + quarter; from < end; from += LineBytes)
            sums += Line<THints>(from) + Line<THints>(from + quarter) + Line<THints>(from + 2 * quarter) + Line<THints>(from + 3 * quarter);
        return Vector256.Sum(sums);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<long> Line<THints>(byte* from) where THints : struct, IHints
    {
        THints.Ask(from + THints.Distance);
        return Vector256.Load((long*)from) + Vector256.Load((long*)from + Vector256<long>.Count);
    }
}
