using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Core.Tests;

public sealed class AtomicFileTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("/dev/null")]
    [InlineData("/dev/stdout")]
    public void Write_ToADevice_IsRefused(string path)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "there is no /dev");
        Assert.Equal($"{path}: is a device, and would be replaced by a file. Name a file in a folder.", Assert.Throws<IOException>(() => AtomicFile.WriteAllText(path, "x")).Message);
    }

    [Theory]
    [InlineData("file/x")]
    [InlineData("file/a/b/x")]
    public void Write_BelowAFile_NamesTheFile(string path)
    {
        _folder.Write("file", [1]);
        Assert.StartsWith($"{_folder.File("file")}: is a file, but x is to be written into a folder",
            Assert.Throws<IOException>(() => AtomicFile.WriteAllText(_folder.File(path), "x")).Message);
        Assert.Equal([1], File.ReadAllBytes(_folder.File("file")));
    }

    [Fact]
    public void Write_ThatFails_KeepsTheOldFileAndLeavesNoOther()
    {
        _folder.Write("x", [1]);
        Assert.Throws<InvalidDataException>(() => AtomicFile.Write(_folder.File("x"), _ => throw new InvalidDataException()));
        Assert.Equal([1], File.ReadAllBytes(_folder.File("x")));
        Assert.Equal([_folder.File("x")], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void Write_WhileAnotherWrites_SaysSoAndLeavesItAlone()
    {
        var path = _folder.File("x");
        AtomicFile.Write(path, file =>
        {
            Assert.Equal($"{path}: cannot be written there: another process is writing it.", Assert.Throws<IOException>(() => AtomicFile.WriteAllText(path, "second")).Message);
            file.WriteByte(1);
        });
        Assert.Equal([1], File.ReadAllBytes(path));
    }

    [Fact]
    public void Lock_OfAFolder_IsOneProcesssUntilItLetsGo()
    {
        var folder = _folder.File("made/here");
        using (new FolderLock(folder, "Wait."))
            Assert.Equal($"{folder}: another process is writing into this folder. Wait.", Assert.Throws<IOException>(() => new FolderLock(folder, "Wait.")).Message);
        Assert.Empty(Directory.GetFiles(folder));
        new FolderLock(folder, "Wait.").Dispose();
        _folder.Write("file", [1]);
        Assert.StartsWith($"{_folder.File("file")}: is a file, but ", Assert.Throws<IOException>(() => new FolderLock(_folder.File("file/x"), "Wait.")).Message);
    }
}
