using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Core.Tests;

/// <summary>What a user may name where a file is expected, and what is said of it.</summary>
public sealed partial class InputFileTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Open_APipeOrADevice_IsRefusedAndNotWaitedFor()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Skip("makes a named pipe, and .NET tells one from a file on no system");
        var pipe = _folder.File("pipe.bin");
        SystemProgram.Run("mkfifo", pipe);
        File.CreateSymbolicLink(_folder.File("link.bin"), pipe);
        foreach (var path in new[] { pipe, _folder.File("link.bin"), "/dev/zero", "/dev/null" })
            Assert.Equal($"{path}: is a pipe or a device, expected a file. Save what comes out of it, and name that.", Assert.Throws<IOException>(() => InputFile.Open(path)).Message);
    }

    [Fact]
    public void Open_AnEmptyFile_IsAFile()
    {
        var path = _folder.Write("empty.txt", []);
        using (var file = InputFile.Open(path))
            Assert.Equal(0, RandomAccess.GetLength(file));
        Assert.Throws<InvalidDataException>(() => InputFile.Open(path, out _));
    }

    [Fact]
    public void Open_ALinkToNowhere_SaysWhereItLeads()
    {
        if (OperatingSystem.IsWindows())
            Assert.Skip("makes symbolic links, which Windows allows few");
        var (dangling, loop) = (_folder.File("dangling.bin"), _folder.File("loop.bin"));
        File.CreateSymbolicLink(dangling, "gone.bin");
        File.CreateSymbolicLink(loop, "loop.bin");
        Assert.Equal($"{dangling}: is a link to gone.bin, which does not exist.", Assert.Throws<FileNotFoundException>(() => InputFile.Open(dangling)).Message);
        Assert.Equal($"{loop}: is a link that leads back to itself.", Assert.ThrowsAny<IOException>(() => InputFile.Open(loop)).Message);
    }

    [Fact]
    [UnsupportedOSPlatform("windows")]
    public void OpenAndExists_WithoutTheRight_SaySoByTheName()
    {
        if (OperatingSystem.IsWindows() || (Environment.IsPrivilegedProcess && !OperatingSystem.IsLinux()))
            Assert.Skip("takes away a permission, which binds neither root nor Windows");
        var (secret, closed) = (_folder.Write("secret.bin", [1]), _folder.Write("closed/x.bin", [1]));
        Assert.True(InputFile.Exists(closed));
        Assert.False(InputFile.Exists(closed + "2"));
        const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        File.SetUnixFileMode(_folder.Path, Owner | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        File.SetUnixFileMode(secret, UnixFileMode.None);
        File.SetUnixFileMode(_folder.File("closed"), UnixFileMode.None);
        try
        {
            AsNobody(() =>
            {
                Assert.Equal($"{secret}: the system does not let you read it (permission denied).", Assert.Throws<IOException>(() => InputFile.Open(secret)).Message);
                Assert.Equal($"{closed}: the system does not let you read it (permission denied).", Assert.Throws<IOException>(() => InputFile.Exists(closed)).Message);
            });
        }
        finally
        {
            File.SetUnixFileMode(_folder.File("closed"), Owner);
        }
    }

    [Fact]
    public void Exists_WhereTheSystemCannotLook_IsNotAnsweredWithNo()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "makes symbolic links, which Windows allows few");
        File.CreateSymbolicLink(_folder.File("loop"), "loop");
        foreach (var path in (string[])[_folder.File("loop/x"), _folder.File(new string('x', 300))])
            Assert.StartsWith($"{path}: ", Assert.Throws<IOException>(() => InputFile.Exists(path)).Message);
        Assert.False(InputFile.Exists(Path.Combine(_folder.Write("file", [1]), "x")));
    }

    [Fact]
    public void Exists_AFolderOrNothing_IsNoFile()
    {
        Assert.False(InputFile.Exists(_folder.Path));
        Assert.False(InputFile.Exists(_folder.File("nowhere/x")));
    }

    [Fact]
    public async Task ReadText_APipe_GivesWhatIsWrittenOrEndsWithTheWait()
    {
        if (OperatingSystem.IsWindows())
            Assert.Skip("makes a named pipe");
        var pipe = _folder.File("pipe.txt");
        SystemProgram.Run("mkfifo", pipe);
        using var stop = new CancellationTokenSource();
        var waits = Task.Run(() => InputFile.ReadText(pipe, stop.Token));
        Assert.NotSame(waits, await Task.WhenAny(waits, Task.Delay(300, TestContext.Current.CancellationToken)));
        stop.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waits);

        File.WriteAllText(pipe, "for the thread that waits still");

        var other = _folder.File("other.txt");
        SystemProgram.Run("mkfifo", other);
        var reads = Task.Run(() => InputFile.ReadText(other, TestContext.Current.CancellationToken));
        File.WriteAllText(other, "\uFEFFé");
        Assert.Equal("é", await reads);
    }

    [Fact]
    public void ReadText_ADeviceWithoutEnd_IsRefused()
    {
        if (OperatingSystem.IsWindows())
            Assert.Skip("there is no /dev");
        Assert.Equal("/dev/zero: more than 64 MB, expected a short text.", Assert.Throws<InvalidDataException>(() => InputFile.ReadText("/dev/zero", TestContext.Current.CancellationToken)).Message);
        Assert.Equal($"{_folder.Path}: is a folder, expected a file.", Assert.Throws<IOException>(() => InputFile.ReadText(_folder.Path, TestContext.Current.CancellationToken)).Message);
    }

    [Fact]
    public void Read_WhatTheSystemCannotRead_IsNamed()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Skip("reads a file of Linux whose first page cannot be read");
        const string path = "/proc/self/mem"; // a process's memory: nothing lies at address 0
        using var file = InputFile.Open(path);
        Assert.Equal($"{path}: Input/output error.", Assert.Throws<IOException>(() => InputFile.Read(file, path, 0, new byte[1])).Message);
    }

    [Fact]
    public void Open_NoName_AsksForOne() => Assert.Equal("the name of a file is empty: name one.", Assert.Throws<FileNotFoundException>(() => InputFile.Open("")).Message);

    // No permission binds root; on Linux a thread may look at files as another user, and as that one root has no rights left.
    private static void AsNobody(Action look)
    {
        Exception? problem = null;
        var thread = new Thread(() =>
        {
            const uint Nobody = 65534;
            if (OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess)
                _ = SetFileUser(Nobody);
            problem = Record.Exception(look);
        });
        thread.Start();
        thread.Join();
        if (problem is not null)
            throw problem;
    }

    [LibraryImport("libc", EntryPoint = "setfsuid")]
    private static partial int SetFileUser(uint user);
}
