using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LlamaFullstack.Training.Distributed;

/// <summary>What every rank must know to find the others: 128 bytes that rank 0 makes up.</summary>
[InlineArray(Length)]
internal struct NcclUniqueId
{
    public const int Length = 128;
    private byte _first;
}

/// <summary>The few functions of NCCL that training needs. Source: NVIDIA's NCCL 2 user guide, "API"; nccl.h.</summary>
internal sealed unsafe partial class NcclLibrary
{
    // nccl.h: ncclDataType_t and ncclRedOp_t.
    private const int Float32 = 7;
    private const int Float64 = 8;
    private const int Sum = 0;
    private const int InProgress = 7; // ncclInProgress: of calls that do not block; not an error

    private readonly delegate* unmanaged<NcclUniqueId*, int> _getUniqueId;
    private readonly delegate* unmanaged<nint*, int, NcclUniqueId, int, int> _commInitRank;
    private readonly delegate* unmanaged<nint, nint, nuint, int, int, nint, nint, int> _allReduce;
    private readonly delegate* unmanaged<nint, int*, int> _commGetAsyncError;
    private readonly delegate* unmanaged<nint, int> _commFinalize;
    private readonly delegate* unmanaged<nint, int> _commDestroy;
    private readonly delegate* unmanaged<nint, int> _commAbort;
    private readonly delegate* unmanaged<int, byte*> _getErrorString;

    private NcclLibrary(nint library)
    {
        _getUniqueId = (delegate* unmanaged<NcclUniqueId*, int>)NativeLibrary.GetExport(library, "ncclGetUniqueId");
        _commInitRank = (delegate* unmanaged<nint*, int, NcclUniqueId, int, int>)NativeLibrary.GetExport(library, "ncclCommInitRank");
        _allReduce = (delegate* unmanaged<nint, nint, nuint, int, int, nint, nint, int>)NativeLibrary.GetExport(library, "ncclAllReduce");
        _commGetAsyncError = (delegate* unmanaged<nint, int*, int>)NativeLibrary.GetExport(library, "ncclCommGetAsyncError");
        _commFinalize = (delegate* unmanaged<nint, int>)NativeLibrary.GetExport(library, "ncclCommFinalize");
        _commDestroy = (delegate* unmanaged<nint, int>)NativeLibrary.GetExport(library, "ncclCommDestroy");
        _commAbort = (delegate* unmanaged<nint, int>)NativeLibrary.GetExport(library, "ncclCommAbort");
        _getErrorString = (delegate* unmanaged<int, byte*>)NativeLibrary.GetExport(library, "ncclGetErrorString");
    }

    /// <summary>Loads the library.</summary>
    /// <exception cref="IOException">It is not found.</exception>
    public static NcclLibrary Load()
    {
        string[] names = ["libnccl.so.2", "libnccl.so"];
        foreach (var name in names)
            if (NativeLibrary.TryLoad(name, out var handle))
                return new NcclLibrary(handle);
        throw new IOException($"no NCCL library found ({string.Join(", ", names)}): training on several GPUs needs it. Install libnccl2, or put its folder into LD_LIBRARY_PATH.");
    }

    /// <summary>Makes up an id; rank 0 does, and gives it to the others.</summary>
    public NcclUniqueId NewId()
    {
        NcclUniqueId id;
        Check("ncclGetUniqueId", _getUniqueId(&id));
        return id;
    }

    /// <summary>Joins the others, on the CUDA device that is current. Waits until all have come.</summary>
    public nint Join(NcclUniqueId id, int rank, int size)
    {
        nint communicator;
        Check("ncclCommInitRank", _commInitRank(&communicator, size, id, rank));
        return communicator;
    }

    /// <summary>Puts the sum over all ranks, in place, into a stream's queue.</summary>
    /// <param name="communicator">From <see cref="Join"/>.</param>
    /// <param name="values">Where they lie, in the device's memory.</param>
    /// <param name="count">How many.</param>
    /// <param name="isDouble">float64, else float32.</param>
    /// <param name="stream">The stream.</param>
    public void QueueSum(nint communicator, nint values, long count, bool isDouble, nint stream) =>
        Check("ncclAllReduce", _allReduce(values, values, (nuint)count, isDouble ? Float64 : Float32, Sum, communicator, stream));

    /// <summary>Throws if a sum under way has failed, as when another rank died.</summary>
    public void ThrowIfFailed(nint communicator)
    {
        int error;
        Check("ncclCommGetAsyncError", _commGetAsyncError(communicator, &error));
        if (error != InProgress)
            Check("a sum over the ranks", error);
    }

    /// <summary>Takes leave of the others.</summary>
    public void Leave(nint communicator)
    {
        Check("ncclCommFinalize", _commFinalize(communicator));
        Check("ncclCommDestroy", _commDestroy(communicator));
    }

    /// <summary>Ends what is under way on the device without the others, of whom one may have died.</summary>
    public void Abort(nint communicator) => _ = _commAbort(communicator);

    private void Check(string function, int error)
    {
        if (error != 0)
            throw new IOException($"NCCL: {function} failed: {Marshal.PtrToStringUTF8((nint)_getErrorString(error))}. NCCL_DEBUG=INFO shows more.");
    }
}
