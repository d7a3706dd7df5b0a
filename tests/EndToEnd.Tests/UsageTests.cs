using LlamaFullstack.Run;

namespace LlamaFullstack.EndToEnd.Tests;

/// <summary>What people get wrong on the command line, and the one line that each gets back.</summary>
public class UsageTests
{
    [Theory]
    [InlineData("--decay_lr=: needs a value after the equals sign. See llamafs train --help.", "train", "--decay_lr=")]
    [InlineData("--dim: given 2 times, but not always with a value. See llamafs train --help.", "train", "--dim", "64", "--dim")]
    [InlineData("--vocab_size 200: must be at least 260: 3 marks, 256 bytes and a letter.", "data", "train_vocab", "--vocab_size", "200")]
    [InlineData("--split_digits=maybe: expected True or False. See llamafs data train_vocab --help.", "data", "train_vocab", "--vocab_size=300", "--split_digits=maybe")]
    [InlineData("--learning_rate 1e400: expected a finite number.", "train", "--learning_rate=1e400")]
    [InlineData("--wandb_log True: expected False: a run is not sent to wandb", "train", "--wandb_log=True")]
    [InlineData("--vocab_size -1: expected 0 (Llama 2's own)", "data", "pretokenize", "--vocab_size=-1")]
    [InlineData("--max_seq_len 0: expected 1 or more.", "export", "--max_seq_len=0")]
    [InlineData("a.safetensors: a .safetensors file is part of a folder for Hugging Face's transformers.", "export", "a.safetensors")]
    [InlineData("no model: name its file, such as out/model.bin. See llamafs run --help.", "run", "")]
    [InlineData("llamafs: needs a command after it: quickstart, data, ", "[suggest]")]
    [InlineData("data: needs a command after it: ", "data")]
    [InlineData("inspect: needs FILE after it. FILE: Model file, ", "inspect")]
    [InlineData("verify: needs B after it. B: Another. See llamafs verify --help.", "verify", "a.bin")]
    [InlineData("--vocab_size: is needed. Pieces of the vocabulary, such as 4096. See llamafs data train_vocab --help.", "data", "train_vocab")]
    [InlineData("--repeats: needs a value after it. See llamafs bench --help.", "bench", "a.bin", "-r")]
    [InlineData("--tolerance: given 2 times. Leave all but one of them out.", "verify", "a.bin", "b.bin", "--tolerance=0", "--tolerance=1")]
    [InlineData("--repeats 2147483648: expected a whole number up to 2147483647.", "bench", "a.bin", "-r", "2147483648")]
    [InlineData("--temperature 1e400: expected a number.", "sample", "--temperature", "1e400")]
    [InlineData("--tolerance nan: expected a number.", "verify", "a.bin", "b.bin", "--tolerance", "nan")]
    [InlineData("rnu: not known here. Did you mean run? See llamafs --help.", "rnu")]
    [InlineData("--vocabsize=5: not known here. Did you mean --vocab_size? See llamafs train --help.", "train", "--vocabsize=5")]
    [InlineData("--temprature: not known here. Did you mean --temperature? See llamafs run --help.", "run", "a.bin", "--temprature", "1")]
    [InlineData("--frobnicate: not known here. See llamafs train --help.", "train", "--frobnicate")]
    public void AnImpossibleCommandLine_IsAUsageError(string message, params string[] args) => Llamafs.Run(args).AssertFails(2, message);

    [Theory]
    [InlineData("sample", "--checkpoint", "")]
    [InlineData("export", "x.bin", "--checkpoint", "")]
    [InlineData("verify", "", "a.bin")]
    public void AnEmptyName_IsSaidToBeOne(params string[] args) => Llamafs.Run(args).AssertFails(1, "the name of a file is empty: name one.");

    [Theory]
    [InlineData("inspect")]
    [InlineData("run")]
    public void ANameWithAnEscape_IsShownWithoutIt(string command) => Llamafs.Run(command, "a\u001b[32m.bin").AssertFails(1, "a\ufffd[32m.bin: no such file.");

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
    public void AFileInPlaceOfACommand_IsToldHowToRun()
    {
        using var folder = new TempFolder();
        folder.Write("model.bin", [1]);
        Llamafs.Run(["model.bin"], folder.Path).AssertFails(2, "model.bin: is a file, not a command. To run a model: llamafs run model.bin.");
    }

    [Fact]
    public void Sample_APromptFromAFileThatIsNot_SaysSoByItsName()
    {
        using var folder = new TempFolder();
        string[] args = ["sample", "--checkpoint", Fixtures.Path("stories260K", "stories260K.bin"), "-z", Fixtures.Path("stories260K", "tok512.bin"), "--start"];
        Llamafs.Run([.. args, "FILE:nope.txt"], folder.Path).AssertFails(1, "nope.txt: no such file.");
        Llamafs.Run([.. args, "FILE:"], folder.Path).AssertFails(1, "the name of a file is empty: name one.");
    }

    [Fact]
    public void Config_MissingOrAFolderOrNotJsonOrWrong_IsNamed()
    {
        using var folder = new TempFolder();
        var path = folder.File("config.json");
        Llamafs.Run("train", "--config", path).AssertFails(1, $"--config {path}: no such file.");
        Llamafs.Run("train", "--config", folder.Path).AssertFails(1, $"--config {folder.Path}: is a folder, expected a file.");
        folder.Write("config.json", "{ \"dim\": 64, bad"u8.ToArray());
        Llamafs.Run("train", "--config", path).AssertFails(1, $"{path}: not valid JSON in line 1;");
        folder.Write("config.json", "{ \"dim\": \"wide\" }"u8.ToArray());
        Llamafs.Run("train", "--config", path).AssertFails(2, $"{path}: --dim wide: expected a whole number.");
        Assert.SkipWhen(OperatingSystem.IsWindows(), "there is no /dev");
        Llamafs.Run(["train", "--config", "/dev/stdin"], null, "{ \"dim\": \"wide\" }").AssertFails(2, "/dev/stdin: --dim wide: expected a whole number.");
        Llamafs.Run(["train", "--config", "/dev/stdin", "--nproc_per_node=2"], null, "{}").AssertFails(1, "/dev/stdin: is a pipe or a device, expected a file.");
    }

    // llama2.c's own words; what stops each is the missing model or data, not an option.
    [Theory]
    [InlineData("train", "--wandb_log=False", "--wandb_project=llamac", "--wandb_run_name=run1", "--compile=True")]
    [InlineData("sample", "--compile=True")]
    [InlineData("export", "a.bin", "--version", "0", "--dtype", "fp32")]
    public void AnOptionOfLlama2c_IsTaken(params string[] args)
    {
        using var folder = new TempFolder();
        Assert.Equal(ExitCode.Failure, Llamafs.Run(args, folder.Path).ExitCode);
    }

    [Fact]
    public void Export_ToAFolder_SaysSoByItsName()
    {
        using var folder = new TempFolder();
        Llamafs.Run("export", folder.Path, "--checkpoint", Fixtures.Path("stories260K", "stories260K.bin")).AssertFails(1, $"{folder.Path}: is a folder, expected the name of a file to write.");
    }

    [Fact]
    public void Export_AFolderInPlaceOfAFile_SaysSoByItsName()
    {
        using var folder = new TempFolder();
        var file = folder.Write("hf", [1]);
        Llamafs.Run("export", file, "--version", "-1", "--checkpoint", Fixtures.Path("stories260K", "stories260K.bin"))
            .AssertFails(1, $"{file}: is a file, but version -1 is a folder of several. Remove it, or name another folder.");
        Assert.Equal([1], File.ReadAllBytes(file));
    }

    [Fact]
    public void Export_LossWithoutData_SaysSoBeforeItWrites()
    {
        using var folder = new TempFolder();
        Llamafs.Run(["export", "m.bin", "--checkpoint", Fixtures.Path("stories260K", "stories260K.bin"), "--loss_tokens=10", "--dataset=nope"], folder.Path).AssertFails(1, "nope");
        Assert.False(File.Exists(folder.File("m.bin")));
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
