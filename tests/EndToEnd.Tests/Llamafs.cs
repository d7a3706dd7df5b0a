using System.Diagnostics;

namespace LlamaFullstack.EndToEnd.Tests;

/// <summary>What a finished llamafs left behind.</summary>
internal sealed record Finished(int ExitCode, string Out, string Error)
{
    /// <summary>Asserts a failure that a person can read: one line on stderr, nothing on stdout, no stack trace.</summary>
    public void AssertFails(int exitCode, string message)
    {
        Assert.True(ExitCode == exitCode, $"exit code {ExitCode}, expected {exitCode}; stderr: {Error}");
        Assert.Equal("", Out);
        Assert.Contains(message, Error);
        Assert.Single(Error.TrimEnd('\n').Split('\n'));
        Assert.DoesNotContain("   at ", Error);
    }

    /// <summary>Asserts success.</summary>
    public Finished AssertSucceeds()
    {
        Assert.True(ExitCode == 0, $"exit code {ExitCode}; stderr: {Error}");
        return this;
    }
}

/// <summary>Runs the built program as a user would.</summary>
internal static class Llamafs
{
    /// <summary>After which a program is taken for one that never ends: far above what a busy machine needs.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    public static string Program { get; } = Path.GetFullPath(Path.Combine(
        AppContext.BaseDirectory, "..", "..", "Cli", new DirectoryInfo(AppContext.BaseDirectory).Name, OperatingSystem.IsWindows() ? "llamafs.exe" : "llamafs"));

    /// <summary>Runs a command line to its end.</summary>
    public static Finished Run(params string[] args) => Run(args, workingFolder: null);

    /// <summary>Runs a command line to its end.</summary>
    public static Finished Run(string[] args, string? workingFolder, string input = "", params (string Name, string Value)[] environment)
    {
        using var process = Start(args, workingFolder, environment);
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        if (!process.WaitForExit(Limit))
        {
            process.Kill();
            Assert.Fail($"llamafs {string.Join(' ', args)} did not end within {Limit.TotalMinutes} minutes");
        }
        return new Finished(process.ExitCode, output.Result, error.Result);
    }

    /// <summary>Starts a command line; the caller reads its streams and ends it.</summary>
    public static Process Start(string[] args, string? workingFolder = null, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(Program, args)
        {
            WorkingDirectory = workingFolder ?? Path.GetTempPath(),
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = System.Text.Encoding.UTF8,
        };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        return Process.Start(start)!;
    }
}
