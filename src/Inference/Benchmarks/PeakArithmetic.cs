using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference.Benchmarks;

/// <summary>Threads that multiply and add float32 numbers in registers and do nothing else: what bounds reading a prompt, since a weight is used for many tokens.</summary>
internal sealed class PeakArithmetic
{
    private const int Steps = 1 << 20; // some milliseconds
    private const int Sums = 12;       // as many as hide the latency of the addition on any processor, and fit sixteen registers

    private readonly WorkerPool _pool;
    private readonly Action<int> _compute;
    private readonly float[] _results;

    /// <summary>Prepares to compute.</summary>
    /// <param name="pool">Each of its threads computes as much.</param>
    public PeakArithmetic(WorkerPool pool)
    {
        _pool = pool;
        _results = new float[pool.Workers];
        _compute = worker => _results[worker] = // kept, so that no compiler finds the arithmetic useless
            Vector512.IsHardwareAccelerated ? Compute<Lanes512, Vector512<float>>()
            : Vector256.IsHardwareAccelerated ? Compute<Lanes256, Vector256<float>>()
            : Compute<Lanes128, Vector128<float>>();
    }

    /// <summary>Multiply-adds that <see cref="Run"/> does.</summary>
    public long Count => (long)Steps * Sums * _pool.Workers *
        (Vector512.IsHardwareAccelerated ? Lanes512.Count : Vector256.IsHardwareAccelerated ? Lanes256.Count : Lanes128.Count);

    /// <summary>Computes on all threads.</summary>
    public void Run() => _pool.Run(_compute);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Compute<TLanes, TVector>()
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
    {
        var (x, y) = (TLanes.Broadcast(0.5f), TLanes.Broadcast(0.25f));
        var (a, b, c, d) = (TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
        var (e, f, g, h) = (a, b, c, d);
        var (i, j, k, l) = (a, b, c, d);
        for (var step = 0; step < Steps; step++)
        {
            a = TLanes.MultiplyAdd(x, y, a);
            b = TLanes.MultiplyAdd(x, y, b);
            c = TLanes.MultiplyAdd(x, y, c);
            d = TLanes.MultiplyAdd(x, y, d);
            e = TLanes.MultiplyAdd(x, y, e);
            f = TLanes.MultiplyAdd(x, y, f);
            g = TLanes.MultiplyAdd(x, y, g);
            h = TLanes.MultiplyAdd(x, y, h);
            i = TLanes.MultiplyAdd(x, y, i);
            j = TLanes.MultiplyAdd(x, y, j);
            k = TLanes.MultiplyAdd(x, y, k);
            l = TLanes.MultiplyAdd(x, y, l);
        }
        var first = TLanes.Add(TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d)), TLanes.Add(e, f));
        var last = TLanes.Add(TLanes.Add(TLanes.Add(g, h), TLanes.Add(i, j)), TLanes.Add(k, l));
        return TLanes.Sum(TLanes.Add(first, last));
    }
}
