using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference;

/// <summary>Threads that live as long as the engine and all run the same job, one part each. Knows nothing of models.</summary>
/// <remarks>
/// A token is a few hundred microseconds of work in steps of a few: a thread pool's queue would cost more than a step. So each thread
/// runs the whole forward pass and meets the others at barriers, where it spins; between tokens it spins briefly and then parks.
/// </remarks>
internal sealed unsafe class WorkerPool : IDisposable
{
    // Two cache lines: processors fetch lines in pairs, and a shared one would bounce between cores at every barrier.
    private const int Stride = 128 / sizeof(long);

    // Some microseconds of pauses cover the wait at a barrier on a quiet machine. Whoever is not there by then may have lost its core to
    // another program or to us: to spin on could be what keeps it off, a time slice at each barrier. A yield costs little where nobody waits.
    private const int Pauses = 100;

    // Between two tokens, some 300 µs of yields cover the caller's sampling and writing. Then sleep.
    private const int Yields = 1000;

    private readonly Thread[] _threads;
    private readonly long* _arrived;
    private readonly object _gate = new();
    private Action<int> _job = static _ => { };
    private long _round;
    private int _parked;
    private bool _stopping;

    /// <summary>Starts the threads.</summary>
    /// <param name="workers">How many parts a job has; the caller's thread does one of them.</param>
    public WorkerPool(int workers)
    {
        Workers = workers;
        var bytes = (nuint)(workers * Stride * sizeof(long));
        _arrived = (long*)NativeMemory.AlignedAlloc(bytes, Stride * sizeof(long));
        NativeMemory.Clear(_arrived, bytes);
        _threads = new Thread[workers - 1];
        for (var i = 0; i < _threads.Length; i++)
        {
            var worker = i + 1;
            _threads[i] = new Thread(() => Work(worker)) { IsBackground = true, Name = $"llama worker {worker}" };
            _threads[i].Start();
        }
    }

    /// <summary>Parts of a job.</summary>
    public int Workers { get; }

    /// <summary>Runs job(0) here and job(1) … job(Workers − 1) on the threads, and returns when all have.</summary>
    /// <param name="job">Must not throw. Keep one delegate and pass it again: nothing is allocated then.</param>
    public void Run(Action<int> job)
    {
        if (_threads.Length == 0)
        {
            job(0);
            return;
        }
        _job = job;
        BeginRound();
        job(0);
        Barrier(0);
    }

    /// <summary>Waits until every worker has come here; what each wrote before is then seen by all.</summary>
    /// <param name="worker">Who comes.</param>
    public void Barrier(int worker)
    {
        if (_threads.Length == 0)
            return;
        var phase = _arrived[worker * Stride] + 1;
        Volatile.Write(ref _arrived[worker * Stride], phase);
        for (var other = 0; other < Workers; other++)
            for (var tries = 0; Volatile.Read(ref _arrived[other * Stride]) < phase; tries++)
                PauseOrYield(tries);
    }

    /// <summary>Ends the threads. No job may be running.</summary>
    public void Dispose()
    {
        if (_stopping)
            return;
        _stopping = true;
        BeginRound();
        foreach (var thread in _threads)
            thread.Join();
        NativeMemory.AlignedFree(_arrived);
    }

    private void Work(int worker)
    {
        for (var done = 0L; ; done++)
        {
            WaitForRound(done);
            if (_stopping)
                return;
            _job(worker);
            Barrier(worker);
        }
    }

    private void BeginRound()
    {
        // A full fence: either a parking worker sees the new round, or we see that it parked.
        Interlocked.Increment(ref _round);
        if (Volatile.Read(ref _parked) > 0)
            lock (_gate)
                Monitor.PulseAll(_gate);
    }

    private void WaitForRound(long done)
    {
        for (var tries = 0; tries < Pauses + Yields; tries++)
        {
            if (Volatile.Read(ref _round) != done)
                return;
            PauseOrYield(tries);
        }
        lock (_gate)
        {
            Interlocked.Increment(ref _parked);
            while (Volatile.Read(ref _round) == done)
                Monitor.Wait(_gate);
            Interlocked.Decrement(ref _parked);
        }
    }

    private static void PauseOrYield(int tries)
    {
        if (tries >= Pauses)
            Thread.Yield();
        else if (X86Base.IsSupported)
            X86Base.Pause();
        else
            Thread.SpinWait(1);
    }
}
