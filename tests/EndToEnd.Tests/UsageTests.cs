using LlamaFullstack.Run;

namespace LlamaFullstack.EndToEnd.Tests;

/// <summary>What people get wrong on the command line, and the one line that each gets back.</summary>
public class UsageTests
{
    [Theory]
    [InlineData("--decay_lr=: needs a value after the equals sign. See llamafs train --help.", "train", "--decay_lr=")]
    [InlineData("--dim: given 2 times, but not always with a value. See llamafs train --help.", "train", "--dim", "64", "--dim")]
    [InlineData("--vocab_size 200: must be at least 260: 3 marks, 256 bytes and a letter.", "data", "train_vocab", "--vocab_size", "200")]
    [InlineData("Required command was not provided.", "[suggest]")]
    public void AnImpossibleCommandLine_IsAUsageError(string message, params string[] args) => Llamafs.Run(args).AssertFails(2, message);

    [Fact]
    public void AnArgumentThatALibraryHereRefuses_IsAUsageError() =>
        Llamafs.Run(["run", Fixtures.Path("stories260K", "stories260K.bin"), "-z", Fixtures.Path("stories260K", "tok512.bin")], null, "", ("LLAMAFS_KERNELS", "v1024"))
            .AssertFails(2, "LLAMAFS_KERNELS=v1024: no such kernel set; expected one of ");

    // The same exception from the runtime is a fault of this program, not of who uses it.
    [Fact]
    public void AnArgumentThatTheRuntimeRefuses_IsAFailure()
    {
        Assert.Equal(ExitCode.Usage, ExitCode.Of(_ => throw new ArgumentException("thrown by an assembly here")));
        Assert.Equal(ExitCode.Failure, ExitCode.Of(_ =>
        {
            ArgumentOutOfRangeException.ThrowIfNegative(-1);
            return 0;
        }));
    }

    [Fact]
    public void Config_MissingOrAFolderOrNotJsonOrWrong_IsNamed()
    {
        using var folder = new TempFolder();
        var path = folder.File("config.json");
        Llamafs.Run("train", "--config", path).AssertFails(1, $"--config {path}: no such file.");
        Llamafs.Run("train", "--config", folder.Path).AssertFails(1, $"--config {folder.Path}: is a folder, expected a JSON file of options.");
        folder.Write("config.json", "{ \"dim\": 64, bad"u8.ToArray());
        Llamafs.Run("train", "--config", path).AssertFails(1, $"{path}: not valid JSON in line 1;");
        folder.Write("config.json", "{ \"dim\": \"wide\" }"u8.ToArray());
        Llamafs.Run("train", "--config", path).AssertFails(2, $"{path}: --dim wide: expected a whole number.");
    }

    [Fact]
    public void Export_IntoAFile_SaysThatItIsNoFolder()
    {
        using var folder = new TempFolder();
        var file = folder.Write("out", [1]);
        var model = Fixtures.Path("stories260K", "stories260K.bin");
        var run = Llamafs.Run("export", Path.Combine(file, "model.bin"), "--checkpoint", model);
        Assert.Equal(1, run.ExitCode);
        Assert.Contains($"{file}: is a file, but model.bin is to be written into a folder of this name.", run.Error);
    }
}
