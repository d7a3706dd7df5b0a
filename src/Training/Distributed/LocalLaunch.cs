using System.Diagnostics;
using System.Globalization;

namespace LlamaFullstack.Training.Distributed;

/// <summary>Starts a command again as several processes of this machine, by mpirun.</summary>
public static class LocalLaunch
{
    /// <summary>Runs this program under mpirun and waits for its end. Both share this process's terminal and get its Ctrl-C.</summary>
    /// <param name="processes">How many ranks.</param>
    /// <param name="args">This program's arguments.</param>
    /// <param name="cancellation">Stops all ranks, as Ctrl-C does.</param>
    /// <returns>mpirun's exit code.</returns>
    /// <exception cref="IOException">There is no mpirun.</exception>
    public static int Run(int processes, IEnumerable<string> args, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo("mpirun") { UseShellExecute = false };
        foreach (var word in (string[])["-n", processes.ToString(CultureInfo.InvariantCulture), Environment.ProcessPath!, .. args])
            start.ArgumentList.Add(word);
        // What Open MPI would otherwise refuse or decide badly for one machine: more ranks than cores, being root in a container, ranks
        // tied to one core each, and a second between asking a rank to stop and killing it. Others do not know these variables.
        foreach (var (name, value) in ((string, string)[])[
            ("OMPI_MCA_rmaps_base_oversubscribe", "1"), ("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
            ("OMPI_MCA_hwloc_base_binding_policy", "none"), ("OMPI_MCA_odls_base_sigkill_timeout", "8")])
            start.Environment.TryAdd(name, value);
        Process? launched = null;
        try
        {
            launched = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new IOException($"--nproc_per_node {processes}: there is no mpirun on the PATH. Install an MPI, such as Debian's openmpi-bin.", e);
        }
        using (launched)
        using (cancellation.Register(() => Terminate(launched)))
        {
            launched.WaitForExit();
            return launched.ExitCode;
        }
    }

    // SIGTERM, which mpirun hands on; Process.Kill would be SIGKILL, and leave the ranks behind.
    private static void Terminate(Process launched)
    {
        if (!launched.HasExited && !OperatingSystem.IsWindows())
            using (Process.Start("kill", ["-TERM", launched.Id.ToString(CultureInfo.InvariantCulture)])) { }
    }
}
