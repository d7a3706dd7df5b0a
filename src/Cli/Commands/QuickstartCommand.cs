using System.CommandLine;
using System.Diagnostics;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs quickstart: the whole path on the built-in stories, each step as the command that a user would type.</summary>
internal static class QuickstartCommand
{
    private const string OutDir = "out/quickstart";

    private static readonly string[][] Steps =
    [
        ["data", "sample"],
        ["data", "train_vocab", "--dataset=sample", "--vocab_size=1024"],
        ["data", "pretokenize", "--dataset=sample", "--vocab_size=1024"],
        ["train", "--dataset=sample", "--preset=quickstart", $"--out_dir={OutDir}"],
        ["export", $"{OutDir}/model.bin", $"--checkpoint={OutDir}/ckpt.safetensors"],
        ["run", $"{OutDir}/model.bin", "-t", "0.5", "-s", "3", "-i", "Once upon a time"],
    ];

    public static Command Create()
    {
        var command = new Command("quickstart", "From nothing to a story in three minutes: sample data, vocabulary, tokens, training, export, run.");
        command.SetAction((_, cancellation) => Task.FromResult(Run(cancellation)));
        return command;
    }

    private static int Run(CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        foreach (var step in Steps)
        {
            cancellation.ThrowIfCancellationRequested();
            Console.Error.WriteLine($"\n$ llamafs {string.Join(' ', step.Select(Quoted))}");
            var code = Invocation.Invoke(Invocation.Parse(step), cancellation);
            if (code != 0)
                return code;
        }
        Console.Error.WriteLine($"\nfrom text to story in {clock.Elapsed.TotalSeconds:0} s. The model is {OutDir}/model.bin; each line with a $ is a command that you can change.");
        return 0;
    }

    private static string Quoted(string word) => word.Contains(' ') ? $"\"{word}\"" : word;
}
