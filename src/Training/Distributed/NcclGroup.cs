using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Distributed;

/// <summary>Processes with a GPU each, which NCCL connects. They find each other by MPI, or at torchrun's MASTER_ADDR and MASTER_PORT.</summary>
/// <remarks>Not yet run on GPUs.</remarks>
internal sealed class NcclGroup : ProcessGroup
{
    private readonly NcclLibrary _nccl;
    private readonly MpiGroup? _mpi;
    private readonly nint _communicator;
    private readonly CudaStream _stream;
    private readonly Device _device;
    private bool _hasLeft;

    private NcclGroup(int rank, int size, int localRank, int localSize, MpiGroup? mpi, Func<NcclLibrary, NcclUniqueId> shareId)
    {
        (Rank, Size, LocalRank, LocalSize, _mpi) = (rank, size, localRank, localSize, mpi);
        _device = new Device(TorchSharp.DeviceType.CUDA, localRank);
        // The first tensor makes the device the current one of this thread.
        InitializeDevice(_device);
        zeros(1, device: _device).Dispose();
        _nccl = NcclLibrary.Load();
        _communicator = _nccl.Join(shareId(_nccl), rank, size);
        _stream = new CudaStream();
    }

    public override int Rank { get; }

    public override int Size { get; }

    public override int LocalRank { get; }

    public override int LocalSize { get; }

    public override string Description => $"rank {Rank} of {Size} by NCCL";

    /// <summary>Joins the ranks that MPI has started.</summary>
    public static NcclGroup Join(MpiGroup mpi) => new(mpi.Rank, mpi.Size, mpi.LocalRank, mpi.LocalSize, mpi, nccl =>
    {
        var id = mpi.IsFirst ? nccl.NewId() : default;
        mpi.Broadcast(Bytes(ref id));
        return id;
    });

    /// <summary>Joins the ranks that torchrun has started.</summary>
    public static NcclGroup Join(Launcher launcher) => new(launcher.Rank, launcher.Size, launcher.LocalRank, launcher.LocalSize, mpi: null, nccl =>
    {
        var id = launcher.Rank == 0 ? nccl.NewId() : default;
        MasterAddress.FromEnvironment().Share(Bytes(ref id), launcher.Rank, launcher.Size);
        return id;
    });

    public override void BeginSum(Tensor values)
    {
        _stream.FollowTorch();
        _nccl.QueueSum(_communicator, values.storage<float>().data_ptr(), values.numel(), isDouble: false, _stream.Handle);
    }

    public override void Sum(Span<double> values, CancellationToken cancellation)
    {
        using var onDevice = tensor(values.ToArray(), device: _device);
        _stream.FollowTorch();
        _nccl.QueueSum(_communicator, onDevice.storage<double>().data_ptr(), values.Length, isDouble: true, _stream.Handle);
        Finish(cancellation);
        using var here = onDevice.cpu();
        here.data<double>().ToArray().CopyTo(values);
    }

    public override void Leave()
    {
        _hasLeft = true; // whatever comes of it: nothing may use the communicator again
        _nccl.Leave(_communicator);
        _mpi?.Leave();
    }

    private protected override bool IsDone()
    {
        if (!_stream.IsDone())
        {
            _nccl.ThrowIfFailed(_communicator);
            return false;
        }
        _stream.LeadTorch();
        return true;
    }

    // Without it a sum that waits for a dead rank stays on the device, and the end of this process waits for the device.
    protected override void Dispose(bool disposing)
    {
        if (!_hasLeft)
            _nccl.Abort(_communicator);
        _hasLeft = true;
    }

    private static Span<byte> Bytes(ref NcclUniqueId id) => MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref id, 1));
}
