using System.CommandLine;
using System.Globalization;
using System.Runtime.CompilerServices;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data;
using LlamaFullstack.Training;
using LlamaFullstack.Training.Model;
using LlamaFullstack.Training.Native;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs eval: a model file (by the engine) or a checkpoint (by torch) → its loss on the whole validation split, a token and a byte.</summary>
internal static class EvalCommand
{
    public static Command Create()
    {
        var model = new Argument<string>("model") { Description = "Model file such as out/model.bin, which the engine evaluates, or a checkpoint .safetensors, which torch does." };
        var dataset = DataCommand.Dataset();
        var dataDir = DataCommand.DataDir();
        var maxTokens = Options.Create("--max_tokens", "Stop after about so many predictions; 0: the whole split.", 0L);
        var command = new Command("eval", "Validation loss and bits per byte of a model file or a checkpoint: compare fp32 with int8, or models of different vocabularies.") { model, dataset, dataDir, maxTokens };
        command.SetAction((parsed, cancellation) => Task.FromResult(Run(parsed.GetValue(model)!,
            new DataFolder(parsed.GetValue(dataDir)!, parsed.GetValue(dataset)!), parsed.GetValue(maxTokens), cancellation)));
        return command;
    }

    private static int Run(string path, DataFolder folder, long maxTokens, CancellationToken cancellation)
    {
        if (Path.GetExtension(path) == ".safetensors")
        {
            TorchRuntime.Load();
            Print(RunInTorch(path, folder, maxTokens, cancellation));
            return 0;
        }
        Print(ValidationLoss.OfFile(path, folder, maxTokens, hasTokenizer: true, cancellation));
        return 0;
    }

    // Apart, since the runtime loads libtorch on entry to a method that names it.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ValidationLoss RunInTorch(string path, DataFolder folder, long maxTokens, CancellationToken cancellation)
    {
        using var model = SavedModel.Load(path, ModelPlacement.Choose(device: null, "float32"));
        model.eval();
        var tokenizer = new Tokenizer(TokenizerFile.Read(null, path, model.Config.VocabSize));
        return ValidationLoss.Of(path, model.Config, tokenizer, folder, maxTokens, model.SumOfLosses, cancellation);
    }

    private static void Print(ValidationLoss loss) => Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
        $"val loss {loss.PerToken:F6} over {loss.Tokens} tokens of {loss.Text}, {loss.Nats / Math.Log(2) / loss.Bytes:F6} bits per byte of {loss.Bytes} bytes"));
}
