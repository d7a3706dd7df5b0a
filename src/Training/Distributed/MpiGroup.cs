using static TorchSharp.torch;

namespace LlamaFullstack.Training.Distributed;

/// <summary>Processes that MPI connects; their tensors lie in main memory.</summary>
/// <remarks>One thread makes all calls. MPI works on a sum only while it is called, so each new sum also moves those before it on.</remarks>
internal sealed class MpiGroup : ProcessGroup
{
    private const int MostInOneCall = 1 << 30; // MPI counts in 32 bits

    private readonly MpiLibrary _mpi;
    private readonly List<nint> _underWay = [];

    private MpiGroup(MpiLibrary mpi)
    {
        _mpi = mpi;
        var sameMachine = mpi.SameMachine();
        (Rank, Size) = (mpi.Rank(mpi.World), mpi.Size(mpi.World));
        (LocalRank, LocalSize) = (mpi.Rank(sameMachine), mpi.Size(sameMachine));
    }

    public override int Rank { get; }

    public override int Size { get; }

    public override int LocalRank { get; }

    public override int LocalSize { get; }

    public override string Description => $"rank {Rank} of {Size} by {_mpi.Name}";

    public static MpiGroup Join()
    {
        var group = new MpiGroup(MpiLibrary.Start());
        return group.Size > 1 ? group : throw new IOException($"{group._mpi.Name} says that this process is alone, but its launcher started several: {(Launcher.IsPlainSrun
            ? "srun without --mpi does not tell them of each other. Start it with srun --mpi=pmi2 for MPICH, --mpi=pmix for Open MPI."
            : "the library is not the launcher's own. Put the launcher's library folder first in LD_LIBRARY_PATH.")}");
    }

    public override void BeginSum(Tensor values)
    {
        var first = values.storage<float>().data_ptr();
        for (var at = 0L; at < values.numel(); at += MostInOneCall)
            _underWay.Add(_mpi.BeginSum((nint)(first + at * sizeof(float)), (int)Math.Min(MostInOneCall, values.numel() - at), _mpi.Float));
        IsDone();
    }

    public override unsafe void Sum(Span<double> values, CancellationToken cancellation)
    {
        fixed (double* first = values)
        {
            _underWay.Add(_mpi.BeginSum((nint)first, values.Length, _mpi.Double));
            Finish(cancellation);
        }
    }

    /// <summary>Gives every rank the first one's bytes.</summary>
    public void Broadcast(Span<byte> bytes) => _mpi.Broadcast(bytes);

    public override void Leave() => _mpi.Stop();

    protected override void Dispose(bool disposing)
    {
    }

    private protected override bool IsDone()
    {
        for (var i = _underWay.Count - 1; i >= 0; i--)
        {
            var request = _underWay[i];
            if (_mpi.IsDone(ref request))
                _underWay.RemoveAt(i);
        }
        return _underWay.Count == 0;
    }
}
