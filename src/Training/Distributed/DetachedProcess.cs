using System.Collections;
using System.Runtime.InteropServices;

namespace LlamaFullstack.Training.Distributed;

/// <summary>
/// A child process in a process group of its own: a terminal sends Ctrl-C to every process of its foreground group, and this one is to get
/// none but the signals of its parent. POSIX alone; <see cref="System.Diagnostics.Process"/> cannot start one.
/// </summary>
internal sealed unsafe partial class DetachedProcess
{
    private const short SetProcessGroup = 2; // POSIX_SPAWN_SETPGROUP, of glibc, musl and macOS alike
    private const int AttributesSize = 1024; // posix_spawnattr_t: 336 bytes in glibc and musl, 8 on macOS
    private const int Interrupted = 4; // EINTR

    private readonly int _id;

    private DetachedProcess(int id) => _id = id;

    /// <summary>Starts a program with this process's standard streams.</summary>
    /// <param name="command">The program, by a path or a name on the PATH, and its arguments.</param>
    /// <param name="variables">Environment variables beside this process's own; where it has one already, that one stays.</param>
    /// <exception cref="IOException">There is no such program, or it cannot be started.</exception>
    public static DetachedProcess Start(IReadOnlyList<string> command, params IEnumerable<(string Name, string Value)> variables)
    {
        var environment = Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().ToDictionary(entry => (string)entry.Key, entry => (string?)entry.Value);
        foreach (var (name, value) in variables)
            environment.TryAdd(name, value);
        nint[] args = [.. command.Select(Marshal.StringToCoTaskMemUTF8), 0];
        nint[] settings = [.. environment.Select(entry => Marshal.StringToCoTaskMemUTF8($"{entry.Key}={entry.Value}")), 0];
        var attributes = stackalloc byte[AttributesSize];
        try
        {
            _ = posix_spawnattr_init(attributes);
            _ = posix_spawnattr_setflags(attributes, SetProcessGroup);
            _ = posix_spawnattr_setpgroup(attributes, 0);
            var error = posix_spawnp(out var id, args[0], null, attributes, args, settings);
            _ = posix_spawnattr_destroy(attributes);
            return error == 0 ? new DetachedProcess(id) : throw new IOException(Marshal.GetPInvokeErrorMessage(error));
        }
        finally
        {
            foreach (var text in args.Concat(settings))
                Marshal.FreeCoTaskMem(text);
        }
    }

    /// <summary>Sends the process a signal.</summary>
    public void Signal(int number) => _ = kill(_id, number);

    /// <summary>Waits for the end.</summary>
    /// <returns>Its exit code; 128 and the signal's number where one ended it, as in a shell.</returns>
    public int Wait()
    {
        int status;
        while (waitpid(_id, out status, 0) < 0 && Marshal.GetLastPInvokeError() == Interrupted) { }
        return (status & 0x7f) == 0 ? status >> 8 & 0xff : 128 + (status & 0x7f);
    }

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_init(byte* attributes);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_setflags(byte* attributes, short flags);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_setpgroup(byte* attributes, int group);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_destroy(byte* attributes);

    [LibraryImport("libc")]
    private static partial int posix_spawnp(out int id, nint file, void* actions, byte* attributes, nint[] args, nint[] environment);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int waitpid(int id, out int status, int options);

    [LibraryImport("libc")]
    private static partial int kill(int id, int signal);
}
