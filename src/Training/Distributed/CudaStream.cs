using System.Runtime.InteropServices;

namespace LlamaFullstack.Training.Distributed;

/// <summary>A CUDA stream beside torch's own, with an order between the two: sums run in it while torch goes on computing.</summary>
/// <remarks>
/// By the driver's interface, of which a process has one copy, whichever CUDA runtime torch brings. TorchSharp computes in the legacy
/// default stream (0). Source: CUDA driver API, "Stream Management" and "Event Management".
/// </remarks>
internal sealed partial class CudaStream
{
    private const uint NonBlocking = 1; // CU_STREAM_NON_BLOCKING: does not wait for the default stream by itself
    private const uint WithoutTiming = 2; // CU_EVENT_DISABLE_TIMING
    private const int NotReady = 600; // CUDA_ERROR_NOT_READY
    private const nint TorchStream = 0;

    private readonly nint _event;

    public CudaStream()
    {
        Check("cuStreamCreate", Create(out var stream, NonBlocking));
        Check("cuEventCreate", CreateEvent(out _event, WithoutTiming));
        Handle = stream;
    }

    /// <summary>The stream, for NCCL.</summary>
    public nint Handle { get; }

    /// <summary>What is queued here from now on begins after all that torch has queued so far.</summary>
    public void FollowTorch() => Order(TorchStream, Handle);

    /// <summary>What torch queues from now on begins after all that is queued here so far.</summary>
    public void LeadTorch() => Order(Handle, TorchStream);

    /// <summary>Whether all that was queued here is done.</summary>
    public bool IsDone()
    {
        var state = Query(Handle);
        if (state != NotReady)
            Check("cuStreamQuery", state);
        return state == 0;
    }

    private void Order(nint first, nint then)
    {
        Check("cuEventRecord", Record(_event, first));
        Check("cuStreamWaitEvent", Wait(then, _event, 0));
    }

    private static void Check(string function, int error)
    {
        if (error != 0)
            throw new IOException($"CUDA: {function} failed with error {error}.");
    }

    [LibraryImport("libcuda.so.1", EntryPoint = "cuStreamCreate")]
    private static partial int Create(out nint stream, uint flags);

    [LibraryImport("libcuda.so.1", EntryPoint = "cuEventCreate")]
    private static partial int CreateEvent(out nint made, uint flags);

    [LibraryImport("libcuda.so.1", EntryPoint = "cuEventRecord")]
    private static partial int Record(nint recorded, nint stream);

    [LibraryImport("libcuda.so.1", EntryPoint = "cuStreamWaitEvent")]
    private static partial int Wait(nint stream, nint awaited, uint flags);

    [LibraryImport("libcuda.so.1", EntryPoint = "cuStreamQuery")]
    private static partial int Query(nint stream);
}
