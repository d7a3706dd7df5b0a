using System.Diagnostics;

namespace LlamaFullstack.Tests;

/// <summary>A program of the system that results are compared with, such as Debian's sentencepiece, or starts ours, such as MPICH's mpirun; never needed to build or to run.</summary>
internal static class SystemProgram
{
    /// <summary>Runs a program; skips the calling test with the reason where the system has no such program.</summary>
    /// <returns>What it wrote to stdout.</returns>
    public static string Run(string name, params string[] arguments)
    {
        using var process = Start(name, arguments);
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{name} {string.Join(' ', arguments)}: {errors.Result}");
        return output;
    }

    private static Process Start(string name, string[] arguments)
    {
        try
        {
            return Process.Start(new ProcessStartInfo(name, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip($"{name} is not installed (.ci/run names the package of Debian and Ubuntu that has it)");
            throw;
        }
    }
}
