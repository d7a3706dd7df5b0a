using System.Globalization;

namespace LlamaFullstack.Training.Distributed;

/// <summary>What started the processes of a run.</summary>
internal enum LauncherKind
{
    /// <summary>mpirun, mpiexec or srun: MPI finds the others by itself.</summary>
    Mpi,

    /// <summary>torchrun: the others are found at MASTER_ADDR:MASTER_PORT.</summary>
    Torchrun,
}

/// <summary>How this process was started, as its launcher's environment variables tell.</summary>
/// <param name="Kind">What started it.</param>
/// <param name="Rank">This process's number.</param>
/// <param name="Size">How many processes there are.</param>
/// <param name="LocalRank">Its number on this machine.</param>
/// <param name="LocalSize">How many there are on this machine.</param>
internal sealed record Launcher(LauncherKind Kind, int Rank, int Size, int LocalRank, int LocalSize)
{
    // Open MPI; MPICH, Intel MPI and srun --mpi=pmi2; srun with any other of its plugins.
    private static readonly string[] MpiSizes = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

    /// <summary>The launcher of this process; null where it is the only one.</summary>
    /// <exception cref="ArgumentException">torchrun's variables are not complete, or are no numbers.</exception>
    public static Launcher? Detect()
    {
        // torchrun first: it may itself have been started by srun.
        if (Environment.GetEnvironmentVariable("RANK") is not null && Number("WORLD_SIZE") > 1)
            return new Launcher(LauncherKind.Torchrun, Needed("RANK"), Needed("WORLD_SIZE"), Needed("LOCAL_RANK"), Number("LOCAL_WORLD_SIZE") ?? 1);
        return MpiSizes.Any(name => Number(name) > 1) ? new Launcher(LauncherKind.Mpi, 0, 0, 0, 0) : null;
    }

    /// <summary>Whether srun alone started this process, with no plugin by which MPI would find the others.</summary>
    public static bool IsPlainSrun => Number("SLURM_STEP_NUM_TASKS") > 1
        && Array.TrueForAll(["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"], name => Environment.GetEnvironmentVariable(name) is null);

    private static int Needed(string name) =>
        Number(name) ?? throw new ArgumentException($"{name}: must be set to a number, as torchrun does, where WORLD_SIZE is above 1.");

    private static int? Number(string name) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : null;
}
