using System.Diagnostics;
using System.Globalization;

namespace LlamaFullstack.Training.Distributed;

/// <summary>Starts a command again as several processes of this machine, by mpirun.</summary>
public static class LocalLaunch
{
    // What Open MPI would otherwise refuse or decide badly for one machine: more ranks than cores, being root in a container, ranks tied to
    // one core each, and a second before those that are left of a dead one are asked to stop, and another before they are killed: with
    // four they can still say what happened, and the job ends within 8. Others do not know these.
    private static readonly (string, string)[] Settings = [
        ("OMPI_MCA_rmaps_base_oversubscribe", "1"), ("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        ("OMPI_MCA_hwloc_base_binding_policy", "none"), ("OMPI_MCA_odls_base_sigkill_timeout", "4")];

    // This program; where it was started as dotnet llamafs.dll, with the file that dotnet runs.
    private static string[] Program => Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet"
        ? [Environment.ProcessPath!, Environment.GetCommandLineArgs()[0]] : [Environment.ProcessPath!];

    /// <summary>Runs this program under mpirun and waits for its end.</summary>
    /// <param name="processes">How many ranks.</param>
    /// <param name="args">This program's arguments.</param>
    /// <param name="stopSignal">The signal that stops a rank once it has saved its state; mpirun must hand it on.</param>
    /// <param name="cancellation">Stops all ranks after the same update, saved.</param>
    /// <returns>mpirun's exit code.</returns>
    /// <exception cref="IOException">There is no mpirun, or it cannot be started.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static int Run(int processes, IEnumerable<string> args, int stopSignal, CancellationToken cancellation)
    {
        string[] command = ["mpirun", "-n", processes.ToString(CultureInfo.InvariantCulture), .. Program, .. args];
        try
        {
            var exitCode = OperatingSystem.IsWindows() ? RunOnWindows(command) : RunDetached(command, stopSignal, cancellation);
            cancellation.ThrowIfCancellationRequested(); // ranks that stop in good order end with 0
            return exitCode;
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException)
        {
            throw new IOException($"--nproc_per_node {processes}: mpirun cannot be started: {e.Message}. Install an MPI, such as Debian's openmpi-bin.", e);
        }
    }

    // At Ctrl-C and SIGTERM mpirun gives its ranks a time that it sits out, and then kills them. So those end here.
    private static int RunDetached(string[] command, int stopSignal, CancellationToken cancellation)
    {
        var mpirun = DetachedProcess.Start(command, Settings);
        using (cancellation.Register(() => mpirun.Signal(stopSignal)))
            return mpirun.Wait();
    }

    // Its console sends Ctrl-C to all of its processes.
    private static int RunOnWindows(string[] command)
    {
        using var mpirun = Process.Start(new ProcessStartInfo(command[0], command[1..]) { UseShellExecute = false })!;
        mpirun.WaitForExit();
        return mpirun.ExitCode;
    }
}
