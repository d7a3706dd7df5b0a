using LlamaFullstack.Run;

namespace LlamaFullstack.EndToEnd.Tests;

public class RunTests
{
    private static string Model => Fixtures.Path("stories260K", "stories260K.bin");

    private static string Tok512 => Fixtures.Path("stories260K", "tok512.bin");

    private static string GoldenText => File.ReadAllText(Fixtures.Path("stories260K", "run_260K_t0_n200.txt"));

    [Fact]
    public void Run_GreedyWithLlama2cFlags_PrintsTheGoldenTextAlone()
    {
        var run = Llamafs.Run("run", Model, "-z", Tok512, "-t", "0", "-n", "200").AssertSucceeds();
        Assert.Equal(GoldenText, run.Out);
        Assert.Contains("achieved tok/s: ", run.Error);
    }

    [Theory]
    [InlineData("LLAMAFS_KERNELS", "scalar")]
    [InlineData("LLAMAFS_KERNELS", "v128")]
    [InlineData("DOTNET_EnableAVX512", "0")]
    [InlineData("DOTNET_EnableAVX2", "0")]
    [InlineData("DOTNET_EnableHWIntrinsic", "0")]
    public void Run_InAnyEnvironment_PrintsTheGoldenText(string variable, string value)
    {
        var run = Llamafs.Run(["run", Model, "-z", Tok512, "-t", "0.0", "-n", "200"], null, "", (variable, value)).AssertSucceeds();
        Assert.Equal(GoldenText, run.Out);
    }

    [Theory]
    [InlineData("v256")]
    [InlineData("v512")]
    public void Run_WithWideKernels_PrintsTheGoldenTextOrSaysThatThereAreNone(string kernels)
    {
        var run = Llamafs.Run(["run", Model, "-z", Tok512, "-t", "0", "-n", "200"], null, "", ("LLAMAFS_KERNELS", kernels));
        if (run.ExitCode == 0)
            Assert.Equal(GoldenText, run.Out);
        else
            run.AssertFails(2, kernels);
    }

    [Fact]
    public void Run_InAGermanLocale_ReadsNumbersAsLlama2cDoes()
    {
        string[] args = ["run", Model, "-z", Tok512, "-s", "1", "-n", "60", "-t"];
        var german = Llamafs.Run([.. args, "0.5"], null, "", ("LANG", "de_DE.UTF-8"), ("LC_ALL", "de_DE.UTF-8")).AssertSucceeds().Out;
        Assert.Equal(Llamafs.Run([.. args, "0.5"]).AssertSucceeds().Out, german);
        Assert.NotEqual(Llamafs.Run([.. args, "5"]).AssertSucceeds().Out, german);
        Llamafs.Run([.. args, "0,5"]).AssertFails(2, "0,5");
    }

    [Fact]
    public void Run_TokenizerBesideTheModelOrInTheFolder_IsFound()
    {
        using var folder = new TempFolder();
        File.Copy(Model, folder.File("model.bin"));
        Llamafs.Run(["run", folder.File("model.bin"), "-n", "5"], folder.Path).AssertFails(1, "tokenizer");
        File.Copy(Tok512, folder.File("tokenizer.bin"));
        Llamafs.Run("run", folder.File("model.bin"), "-n", "5").AssertSucceeds();

        using var elsewhere = new TempFolder();
        File.Copy(Model, elsewhere.File("model.bin"));
        Llamafs.Run(["run", elsewhere.File("model.bin"), "-n", "5"], folder.Path).AssertSucceeds();
    }

    [Fact]
    public void Run_Gguf_PrintsTheGoldenTextWithItsOwnTokenizer() =>
        Assert.Equal(GoldenText, Llamafs.Run("run", Fixtures.Path("gguf", "stories260K.gguf"), "-t", "0", "-n", "200").AssertSucceeds().Out);

    [Fact]
    public void Run_ATokenizerOfAnotherModel_IsRefused() =>
        Llamafs.Run("run", Model, "-z", Fixtures.Path("llama2-tokenizer", "tokenizer.bin"))
            .AssertFails(1, "has 32,000 tokens, but");

    [Fact]
    public void Run_ACutModel_IsRefused()
    {
        using var folder = new TempFolder();
        var path = folder.Write("cut.bin", File.ReadAllBytes(Model)[..900_000]);
        Llamafs.Run("run", path, "-z", Tok512).AssertFails(1, "900,000 bytes, but a v0 file");
    }

    [Theory]
    [InlineData("-t", "warm")]
    [InlineData("-n", "many")]
    [InlineData("-s", "-1")]
    [InlineData("--unknown", "1")]
    public void Run_AWrongOption_IsAUsageError(string option, string value) =>
        Llamafs.Run("run", Model, "-z", Tok512, option, value).AssertFails(2, option == "--unknown" ? option : value);

    [Fact]
    public void Run_APromptThatBeginsWithAt_IsAPrompt()
    {
        Assert.StartsWith("@someone", Llamafs.Run("run", Model, "-z", Tok512, "-n", "20", "-i", "@someone").AssertSucceeds().Out);
        Llamafs.Run("run", "@nowhere.bin").AssertFails(1, "@nowhere.bin: no such file.");
    }

    [Theory]
    [InlineData("--temperature nan: expected a number. See llamafs run --help.", "-t", "nan")]
    [InlineData("--threads 0: expected 1 to 1024. See llamafs run --help.", "-j", "0")]
    [InlineData("--mode talk: expected generate or chat. See llamafs run --help.", "--mode=talk")]
    [InlineData("-t: needs a value after it. See llamafs run --help.", "-t", "0", "-t")]
    [InlineData("other.bin: not known here; the model is ", "other.bin")]
    public void Run_AWrongValue_IsNamedWithItsOption(string message, params string[] args) =>
        Llamafs.Run(["run", Model, "-z", Tok512, .. args]).AssertFails(2, message);

    [Theory]
    [InlineData(0f)]
    [InlineData(1e38f)]
    public void Run_AModelWhoseWeightsAreAllTheSame_IsRefusedByName(float weight)
    {
        const int HeaderLength = 7 * sizeof(int);
        using var folder = new TempFolder();
        var bytes = File.ReadAllBytes(Model);
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(bytes.AsSpan(HeaderLength)).Fill(weight);
        var path = folder.Write("same.bin", bytes);
        Llamafs.Run("run", path, "-z", Tok512, "-t", "0").AssertFails(1, $"{path}: the model's logits are all the same, infinite or not numbers");
    }

    [Fact]
    public void Run_ACheckpoint_PointsToExport()
    {
        using var folder = new TempFolder();
        var path = folder.Write("ckpt.safetensors", [1, 2]);
        Llamafs.Run("run", path).AssertFails(1, $"{path}: a checkpoint, not a model file. Make one of it: llamafs export model.bin --checkpoint {path}");
        Llamafs.Run("bench", path).AssertFails(1, $"{path}: a checkpoint, not a model file.");
        folder.Write("model.bin", [1]);
        Llamafs.Run("run", folder.Path).AssertFails(1, $"{folder.Path}: is a folder, expected a file. Its model is {folder.File("model.bin")}.");
        Llamafs.Run("export", folder.File("m.bin"), "--checkpoint", path).AssertFails(1, $"{path}: not a safetensors file, or damaged: 2 bytes is too short. Was it cut short?\n");
    }

    [Fact]
    public void Run_APromptLongerThanSteps_SaysSo() => Assert.StartsWith("the prompt has 19 tokens, but --steps is 5: the text ends before the prompt does.\n",
        Llamafs.Run("run", Model, "-z", Tok512, "-n", "5", "-i", "Once upon a time there was a little girl who liked to play").AssertSucceeds().Error);

    [Fact]
    public void Run_ChatWithAClosedInput_Ends()
    {
        if (OperatingSystem.IsWindows())
            Assert.Skip("no shell that closes the input");
        using var shell = System.Diagnostics.Process.Start("/bin/sh", ["-c", "exec \"$0\" \"$@\" <&- >/dev/null 2>&1", Llamafs.Program, "run", Model, "-z", Tok512, "-m", "chat"]);
        Assert.True(shell.WaitForExit(Llamafs.Limit), "it waits for an input that will never come");
        Assert.Equal(0, shell.ExitCode);
    }

    // A closed stream's number is taken by a file of the runtime's own: text must not go there.
    [Theory]
    [InlineData(0, "2>&-")]
    [InlineData(0, "2>/dev/full")]
    [InlineData(1, ">&-")]
    [InlineData(1, "<&- >&- 2>&-")]
    public void Run_WithAClosedOrFullStream_FailsWhereTheTextIsLostAlone(int exitCode, string streams)
    {
        if (!File.Exists("/dev/full"))
            Assert.Skip("no /dev/full here, and perhaps no shell that closes streams");
        using var folder = new TempFolder();
        using var shell = System.Diagnostics.Process.Start("/bin/sh", ["-c", $"exec \"$0\" \"$@\" >'{folder.File("text")}' {streams}", Llamafs.Program, "run", Model, "-z", Tok512, "-t", "0", "-n", "200"]);
        Assert.True(shell.WaitForExit(Llamafs.Limit));
        Assert.Equal(exitCode, shell.ExitCode);
        Assert.Equal(exitCode == 0 ? GoldenText : "", File.ReadAllText(folder.File("text")));
    }

    [Theory]
    [InlineData(">&-", "is closed, and this command writes to it.")]
    [InlineData("1</dev/null", "Access to the path is denied.")] // .NET's words for a file that was opened to be read
    [InlineData(">/dev/full", "No space left on device. Free some space, or write to another disk.")]
    public void Output_ThatCannotBeWritten_IsNamed(string stream, string message)
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "no /dev/full here, and perhaps no shell that closes streams");
        foreach (var command in (string[][])[["run", Model, "-z", Tok512, "-n", "5", "-t", "0"], ["run", "--help"], ["inspect", Model]])
            Assert.Equal($"the standard output: {message}\n1\n", SystemProgram.Run("/bin/sh", ["-c", $"\"$0\" \"$@\" 2>&1 {stream}; echo $?", Llamafs.Program, .. command]));
    }

    [Fact]
    public void Run_AModelWhoseNameBeginsWithADash_IsFoundBehindTwo()
    {
        using var folder = new TempFolder();
        File.Copy(Model, folder.File("-n"));
        Assert.Equal("Once upon a time,\n", Llamafs.Run(["run", "-z", Tok512, "-t", "0", "-n", "5", "--", "-n"], folder.Path).AssertSucceeds().Out);
    }

    [Fact]
    public void Run_WhenItsReaderLeaves_Stops()
    {
        if (OperatingSystem.IsWindows())
            Assert.Skip("no bash");
        var command = $"'{Llamafs.Program}' run '{Model}' -z '{Tok512}' -t 0 2>/dev/null | true; echo ${{PIPESTATUS[0]}}";
        Assert.Equal($"{ExitCode.Failure}\n", SystemProgram.Run("bash", "-c", command));
    }

    [Fact]
    public void Run_NoModel_IsAUsageError() => Llamafs.Run("run").AssertFails(2, "model");

    [Fact]
    public void Run_AMissingModel_NamesIt() => Llamafs.Run("run", "nowhere.bin", "-z", Tok512).AssertFails(1, "nowhere.bin: no such file.");

    [Fact]
    public void Run_SameSeed_TellsTheSameStory()
    {
        string[] args = ["run", Model, "-z", Tok512, "-t", "1.0", "-s", "42", "-n", "60"];
        Assert.Equal(Llamafs.Run(args).AssertSucceeds().Out, Llamafs.Run(args).AssertSucceeds().Out);
    }

    [Fact]
    public void Run_Chat_AnswersEachLineAndEndsWithTheInput()
    {
        var run = Llamafs.Run(["run", Model, "-z", Tok512, "-m", "chat", "-t", "0"], null, "\nTell me a story.\n").AssertSucceeds();
        Assert.NotEqual("", run.Out.Trim());
    }
}
