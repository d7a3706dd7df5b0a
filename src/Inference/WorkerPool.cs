using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Inference;

/// <summary>Threads that live as long as the engine and all run the same job, one part each. Knows nothing of models.</summary>
/// <remarks>
/// A token is a few hundred microseconds of work in steps of a few: a thread pool's queue would cost more than a step. So each thread
/// runs the whole forward pass; between tokens it spins briefly and then parks.
/// </remarks>
internal sealed unsafe class WorkerPool : IDisposable
{
    // Two cache lines: processors fetch lines in pairs, and a shared one would bounce between cores at every barrier.
    private const int Stride = 128 / sizeof(long);

    // Some microseconds of pauses cover the wait at a barrier on a quiet machine. Whoever is not there by then may have lost its core to
    // another program or to us: to spin on could be what keeps it off, a time slice at each barrier. A yield costs little where nobody waits.
    private const int Pauses = 100;

    // Between two tokens, 50 µs of pauses cover the caller's sampling: a yield on a busy machine is a time slice. Some more cover its writing. Then sleep.
    private static readonly long PauseTime = Stopwatch.Frequency / 20_000;
    private static readonly long YieldTime = Stopwatch.Frequency / 2_000;

    private readonly Thread[] _threads;
    private readonly long* _arrived;
    private readonly long[] _rounds;
    private readonly object _gate = new();

    // Those of even and of odd rounds: a thread that is late may still read the last one while the next is being written.
    private readonly Action<int>[] _jobs = new Action<int>[2];
    private readonly bool[] _needsAll = new bool[2];
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
        _rounds = new long[workers];
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
        BeginRound(job, needsAll: true);
        job(0);
        Barrier(0);
    }

    /// <summary>Runs job(0) here, and returns when that has. The threads run their parts when they can: late, or not at all if there is a newer job by then.</summary>
    /// <param name="job">As for <see cref="Run"/>; must do all that is needed whether or not the others come.</param>
    public void Offer(Action<int> job)
    {
        BeginRound(job, needsAll: false);
        job(0);
    }

    /// <summary>The number of the job that a worker is running. They grow.</summary>
    public long RoundOf(int worker) => _rounds[worker];

    /// <summary>Waits until every worker has come here; what each wrote before is then seen by all. Not for a job that was offered.</summary>
    /// <param name="worker">Who comes.</param>
    public void Barrier(int worker)
    {
        if (_threads.Length == 0)
            return;
        var phase = _arrived[worker * Stride] + 1;
        Volatile.Write(ref _arrived[worker * Stride], phase);
        for (var other = 0; other < Workers; other++)
        {
            for (var tries = 0; Volatile.Read(ref _arrived[other * Stride]) < phase; tries++)
            {
                if (tries < Pauses)
                    Pause();
                else
                    Thread.Yield();
            }
        }
    }

    /// <summary>Some nanoseconds, in which a thread that waits leaves the core's units and the memory to others.</summary>
    public static void Pause()
    {
        if (X86Base.IsSupported)
            X86Base.Pause();
        else
            Thread.SpinWait(1);
    }

    /// <summary>Ends the threads. No job may be running.</summary>
    public void Dispose()
    {
        if (_stopping)
            return;
        _stopping = true;
        BeginRound(static _ => { }, needsAll: false);
        foreach (var thread in _threads)
            thread.Join();
        NativeMemory.AlignedFree(_arrived);
    }

    private void Work(int worker)
    {
        while (true)
        {
            WaitForRound(_rounds[worker]);
            var (job, needsAll) = Join(worker);
            if (_stopping)
                return;
            job(worker);
            if (needsAll)
                Barrier(worker);
        }
    }

    /// <summary>The newest round's job: if the number is the same before and after, what is read between belongs to it.</summary>
    private (Action<int> Job, bool NeedsAll) Join(int worker)
    {
        while (true)
        {
            var round = Volatile.Read(ref _round);
            var job = Volatile.Read(ref _jobs[round & 1]);
            var needsAll = Volatile.Read(ref _needsAll[round & 1]);
            if (Volatile.Read(ref _round) == round)
            {
                _rounds[worker] = round;
                return (job, needsAll);
            }
        }
    }

    private void BeginRound(Action<int> job, bool needsAll)
    {
        var round = _rounds[0] = _round + 1;
        _jobs[round & 1] = job;
        _needsAll[round & 1] = needsAll;
        // A full fence: either a parking worker sees the new round, or we see that it parked.
        Interlocked.Increment(ref _round);
        if (Volatile.Read(ref _parked) > 0)
            lock (_gate)
                Monitor.PulseAll(_gate);
    }

    private void WaitForRound(long done)
    {
        var start = Stopwatch.GetTimestamp();
        for (long waited = 0; waited < YieldTime; waited = Stopwatch.GetTimestamp() - start)
        {
            if (Volatile.Read(ref _round) != done)
                return;
            if (waited < PauseTime)
                Pause();
            else
                Thread.Yield();
        }
        lock (_gate)
        {
            Interlocked.Increment(ref _parked);
            while (Volatile.Read(ref _round) == done)
                Monitor.Wait(_gate);
            Interlocked.Decrement(ref _parked);
        }
    }
}
