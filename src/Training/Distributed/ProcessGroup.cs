using System.Globalization;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Distributed;

/// <summary>
/// The processes (ranks) that train one model together, each on data of its own: this process's place among them, and sums over all
/// of them. The sums are MPI's or NCCL's; nothing here is a collective of our own. Knows nothing about models.
/// </summary>
public abstract class ProcessGroup : IDisposable
{
    // Milliseconds. After a stop was asked for, a sum waits for so long, or for as long as this rank itself was busy since the last one:
    // the others are about as fast, and one that died never comes.
    private const long LeastPatience = 3000;

    private long _lastSum = Environment.TickCount64;

    /// <summary>A process that trains on its own: every sum is the value itself.</summary>
    public static ProcessGroup Alone { get; } = new SingleProcess();

    /// <summary>Whether a launcher started this process as one of several.</summary>
    public static bool IsLaunched => Launcher.Detect() is not null;

    /// <summary>This process's number, from 0.</summary>
    public abstract int Rank { get; }

    /// <summary>How many processes there are.</summary>
    public abstract int Size { get; }

    /// <summary>Its number among the processes on the same machine.</summary>
    public abstract int LocalRank { get; }

    /// <summary>How many processes there are on the same machine.</summary>
    public abstract int LocalSize { get; }

    /// <summary>Whether this is the rank that reports and writes.</summary>
    public bool IsFirst => Rank == 0;

    /// <summary>"alone", or "rank 0 of 4 by Open MPI", for people.</summary>
    public abstract string Description { get; }

    /// <summary>Joins the group that this process was started in, by mpirun, srun or torchrun; <see cref="Alone"/> where it was started as one.</summary>
    /// <param name="device">Where the model will lie: "cpu", "cuda", "cuda:N", or null to choose.</param>
    /// <exception cref="ArgumentException">The launcher and the device do not go together; the message says what does.</exception>
    /// <exception cref="IOException">The MPI or NCCL library cannot be loaded, or refuses.</exception>
    public static ProcessGroup Join(string? device)
    {
        var launcher = Launcher.Detect();
        if (launcher is null)
            return Alone;
        var onCuda = device is null ? cuda.is_available() : device != "cpu";
        if (launcher.Kind == LauncherKind.Torchrun)
            return onCuda ? NcclGroup.Join(launcher) : throw new ArgumentException(
                $"WORLD_SIZE={launcher.Size}: torchrun's variables are for CUDA, where NCCL sums the gradients. On processors MPI does: mpirun -n {launcher.Size} llamafs train …, or llamafs train --nproc_per_node={launcher.Size} …");
        var mpi = MpiGroup.Join();
        ShareProcessors(mpi.LocalSize);
        return onCuda ? NcclGroup.Join(mpi) : mpi;
    }

    /// <summary>The device of this rank: of several GPUs on a machine each rank takes the one with its local number.</summary>
    /// <param name="device">As asked for; a number that is given stays.</param>
    public string? DeviceFor(string? device) =>
        Size > 1 && device is null or "cuda" && cuda.is_available() ? string.Create(CultureInfo.InvariantCulture, $"cuda:{LocalRank}") : device;

    /// <summary>Begins to sum a tensor over all ranks, in place, and returns at once.</summary>
    /// <param name="values">Contiguous float32; not to be read or written until <see cref="Finish"/> has returned.</param>
    public abstract void BeginSum(Tensor values);

    /// <summary>Waits for every sum that was begun.</summary>
    /// <param name="cancellation">Once it is cancelled, the wait ends after a while, since whoever died will not answer.</param>
    /// <exception cref="IOException">Another rank does not answer, or the network failed.</exception>
    public void Finish(CancellationToken cancellation)
    {
        var patience = Math.Max(LeastPatience, Environment.TickCount64 - _lastSum);
        var stopped = 0L;
        var spin = new SpinWait();
        while (!IsDone())
        {
            if (cancellation.IsCancellationRequested)
            {
                stopped = stopped == 0 ? Environment.TickCount64 : stopped;
                if (Environment.TickCount64 - stopped > patience)
                    throw new IOException(
                        $"another process of this run has ended or does not answer: stopped after waiting {patience / 1000} s for it. A checkpoint, if one was written, is whole: go on from it with --init_from=resume.");
            }
            spin.SpinOnce(sleep1Threshold: -1); // yields, but never sleeps: MPI works only while it is called
        }
        _lastSum = Environment.TickCount64;
    }

    /// <summary>Waits for the first rank, which has done something alone, such as writing a file.</summary>
    /// <param name="patience">How long that may take.</param>
    /// <param name="cancellation">Once it is cancelled, the wait ends after <paramref name="patience"/>.</param>
    /// <exception cref="IOException">Another rank does not answer, or the network failed.</exception>
    public void AwaitFirst(TimeSpan patience, CancellationToken cancellation)
    {
        _lastSum -= (long)patience.TotalMilliseconds; // as if this rank had been busy for so long itself
        Sum(0, cancellation);
    }

    /// <summary>Sums a few numbers over all ranks, in place.</summary>
    /// <exception cref="IOException">Another rank does not answer, or the network failed.</exception>
    public abstract void Sum(Span<double> values, CancellationToken cancellation);

    /// <summary>The sum of a number over all ranks.</summary>
    /// <exception cref="IOException">Another rank does not answer, or the network failed.</exception>
    public double Sum(double value, CancellationToken cancellation)
    {
        Span<double> values = [value];
        Sum(values, cancellation);
        return values[0];
    }

    /// <summary>Whether any rank was asked to stop. All ranks learn the same, so that all stop after the same update.</summary>
    public bool AnyStops(CancellationToken cancellation) => Sum(cancellation.IsCancellationRequested ? 1 : 0, cancellation) > 0;

    /// <summary>Takes leave of the others in good order. A process that ends without it has failed, and its launcher ends the others.</summary>
    public abstract void Leave();

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the group holds; never waits for another rank.</summary>
    protected abstract void Dispose(bool disposing);

    /// <summary>Moves the sums on that were begun.</summary>
    /// <returns>Whether all are there.</returns>
    /// <exception cref="IOException">The network failed.</exception>
    private protected abstract bool IsDone();

    // Each rank would otherwise start a thread for every processor.
    private static void ShareProcessors(int localSize)
    {
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable("OMP_NUM_THREADS")))
            set_num_threads(Math.Max(1, Environment.ProcessorCount / localSize));
    }

    private sealed class SingleProcess : ProcessGroup
    {
        public override int Rank => 0;

        public override int Size => 1;

        public override int LocalRank => 0;

        public override int LocalSize => 1;

        public override string Description => "alone";

        public override void BeginSum(Tensor values)
        {
        }

        public override void Sum(Span<double> values, CancellationToken cancellation)
        {
        }

        public override void Leave()
        {
        }

        private protected override bool IsDone() => true;

        protected override void Dispose(bool disposing)
        {
        }
    }
}
