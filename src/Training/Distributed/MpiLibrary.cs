using System.Runtime.InteropServices;

namespace LlamaFullstack.Training.Distributed;

/// <summary>The few functions and constants of MPI that training needs, from whichever MPI is installed.</summary>
/// <remarks>
/// MPI fixes its functions but not its constants. In Open MPI a handle is the address of an exported symbol; in MPICH, and all that share
/// its binary interface (Intel MPI, MVAPICH, MS-MPI), it is a number of 32 bits. Both pass in a register, so one signature serves both.
/// Sources: mpi.h of Open MPI 4.1 and of MPICH 4.0.
/// </remarks>
internal sealed unsafe class MpiLibrary
{
    // Newest first; libmpi.so.12 is MPICH's name in Debian and elsewhere, libmpi.so.40 Open MPI's.
    private static readonly string[] OpenMpiNames = ["libmpi.so.40", "libmpi.so.80", "libmpi.40.dylib", "libmpi.dylib", "libmpi.so"];
    private static readonly string[] MpichNames = ["libmpich.so.12", "libmpi.so.12", "libmpich.12.dylib", "libmpi.12.dylib", "msmpi.dll", "libmpi.so"];

    private readonly delegate* unmanaged<nint, nint, int, int*, int> _initThread;
    private readonly delegate* unmanaged<int> _finalize;
    private readonly delegate* unmanaged<nint, int*, int> _commRank;
    private readonly delegate* unmanaged<nint, int*, int> _commSize;
    private readonly delegate* unmanaged<nint, int, int, nint, nint*, int> _commSplitType;
    private readonly delegate* unmanaged<nint, nint, int, nint, nint, nint, nint*, int> _allReduceBegin;
    private readonly delegate* unmanaged<nint, int, nint, int, nint, int> _broadcast;
    private readonly delegate* unmanaged<nint*, int*, nint, int> _test;
    private readonly delegate* unmanaged<int, byte*, int*, int> _errorString;
    private readonly nint _infoNull;
    private readonly nint _inPlace;
    private readonly nint _statusIgnore;
    private readonly nint _sum;
    private readonly nint _byte;
    private readonly int _shared;

    private MpiLibrary(nint library)
    {
        _initThread = (delegate* unmanaged<nint, nint, int, int*, int>)NativeLibrary.GetExport(library, "MPI_Init_thread");
        _finalize = (delegate* unmanaged<int>)NativeLibrary.GetExport(library, "MPI_Finalize");
        _commRank = (delegate* unmanaged<nint, int*, int>)NativeLibrary.GetExport(library, "MPI_Comm_rank");
        _commSize = (delegate* unmanaged<nint, int*, int>)NativeLibrary.GetExport(library, "MPI_Comm_size");
        _commSplitType = (delegate* unmanaged<nint, int, int, nint, nint*, int>)NativeLibrary.GetExport(library, "MPI_Comm_split_type");
        _allReduceBegin = (delegate* unmanaged<nint, nint, int, nint, nint, nint, nint*, int>)NativeLibrary.GetExport(library, "MPI_Iallreduce");
        _broadcast = (delegate* unmanaged<nint, int, nint, int, nint, int>)NativeLibrary.GetExport(library, "MPI_Bcast");
        _test = (delegate* unmanaged<nint*, int*, nint, int>)NativeLibrary.GetExport(library, "MPI_Test");
        _errorString = (delegate* unmanaged<int, byte*, int*, int>)NativeLibrary.GetExport(library, "MPI_Error_string");
        if (NativeLibrary.TryGetExport(library, "ompi_mpi_comm_world", out var world))
        {
            Name = "Open MPI";
            World = world;
            (Float, Double) = (NativeLibrary.GetExport(library, "ompi_mpi_float"), NativeLibrary.GetExport(library, "ompi_mpi_double"));
            _byte = NativeLibrary.GetExport(library, "ompi_mpi_byte");
            _sum = NativeLibrary.GetExport(library, "ompi_mpi_op_sum");
            _infoNull = NativeLibrary.GetExport(library, "ompi_mpi_info_null");
            (_inPlace, _statusIgnore, _shared) = (1, 0, 0);
        }
        else
        {
            Name = "MPICH";
            World = 0x44000000;
            (Float, Double) = (0x4c00040a, 0x4c00080b);
            _byte = 0x4c00010d;
            _sum = 0x58000003;
            _infoNull = 0x1c000000;
            (_inPlace, _statusIgnore, _shared) = (-1, 1, 1);
        }
    }

    /// <summary>"Open MPI" or "MPICH", for people.</summary>
    public string Name { get; }

    /// <summary>All processes.</summary>
    public nint World { get; }

    /// <summary>The type of float32.</summary>
    public nint Float { get; }

    /// <summary>The type of float64.</summary>
    public nint Double { get; }

    /// <summary>Loads the MPI that goes with the launcher and starts it.</summary>
    /// <exception cref="IOException">None is found, or it does not start.</exception>
    public static MpiLibrary Start()
    {
        // mpirun of Open MPI sets the first, srun --mpi=pmix, which speaks Open MPI's protocol, the second alone.
        var byOpenMpi = Environment.GetEnvironmentVariable("OMPI_COMM_WORLD_SIZE") is not null || Environment.GetEnvironmentVariable("PMIX_RANK") is not null;
        string[] names = byOpenMpi ? OpenMpiNames : [.. MpichNames, .. OpenMpiNames];
        foreach (var name in names)
        {
            if (!NativeLibrary.TryLoad(name, out var handle))
                continue;
            var library = new MpiLibrary(handle);
            int provided;
            const int funneled = 1; // MPI_THREAD_FUNNELED: only this thread calls it
            library.Check("MPI_Init_thread", library._initThread(0, 0, funneled, &provided));
            return library;
        }
        throw new IOException($"no MPI library found ({string.Join(", ", names)}): install the one that this run was started with, such as openmpi-bin, or put its folder into LD_LIBRARY_PATH.");
    }

    /// <summary>This process's number in a communicator.</summary>
    public int Rank(nint communicator)
    {
        int rank;
        Check("MPI_Comm_rank", _commRank(communicator, &rank));
        return rank;
    }

    /// <summary>Number of processes in a communicator.</summary>
    public int Size(nint communicator)
    {
        int size;
        Check("MPI_Comm_size", _commSize(communicator, &size));
        return size;
    }

    /// <summary>The communicator of the processes on the same machine.</summary>
    public nint SameMachine()
    {
        nint local = 0;
        Check("MPI_Comm_split_type", _commSplitType(World, _shared, 0, _infoNull, &local));
        return local;
    }

    /// <summary>Begins to sum values over all processes, in place.</summary>
    /// <param name="values">Where they lie; they must stay there until the request is done.</param>
    /// <param name="count">How many.</param>
    /// <param name="type"><see cref="Float"/> or <see cref="Double"/>.</param>
    /// <returns>The request.</returns>
    public nint BeginSum(nint values, int count, nint type)
    {
        nint request = 0;
        Check("MPI_Iallreduce", _allReduceBegin(_inPlace, values, count, type, _sum, World, &request));
        return request;
    }

    /// <summary>Lets the library work, and says whether a request is done.</summary>
    public bool IsDone(ref nint request)
    {
        int done;
        fixed (nint* pointer = &request)
            Check("MPI_Test", _test(pointer, &done, _statusIgnore));
        return done != 0;
    }

    /// <summary>Gives every process rank 0's bytes.</summary>
    public void Broadcast(Span<byte> bytes)
    {
        fixed (byte* pointer = bytes)
            Check("MPI_Bcast", _broadcast((nint)pointer, bytes.Length, _byte, 0, World));
    }

    /// <summary>Ends MPI; waits for the other processes to do so too.</summary>
    public void Stop() => Check("MPI_Finalize", _finalize());

    private void Check(string function, int error)
    {
        if (error == 0)
            return;
        var text = stackalloc byte[1024]; // MPI_MAX_ERROR_STRING is 256 in Open MPI, 512 or 1,024 in MPICH
        int length;
        var known = _errorString(error, text, &length) == 0;
        throw new IOException($"{Name}: {function} failed: {(known ? System.Text.Encoding.UTF8.GetString(text, length) : $"error {error}")}.");
    }
}
