using System.CommandLine;
using System.Globalization;
using System.Runtime.CompilerServices;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data;
using LlamaFullstack.Export;
using LlamaFullstack.Export.Sources;
using LlamaFullstack.Training;
using LlamaFullstack.Training.Model;
using LlamaFullstack.Training.Native;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs eval: a model of any format (by the engine) or a checkpoint of our training (by torch) → its loss on the whole validation split, a token and a byte.</summary>
internal static class EvalCommand
{
    public static Command Create()
    {
        var model = new Argument<string>("model") { Description = "Model of any format, which the engine evaluates (a checkpoint of others by a temporary copy in float32), or a checkpoint of llamafs train, which torch does." };
        var tokenizer = Options.CreateWithoutDefault<string?>("--tokenizer", "tokenizer.bin, sentencepiece .model, tokenizer.json or GGUF file. [default: the one that lies with the model, else tokenizer.bin here]", "-z");
        var dataset = DataCommand.Dataset();
        var dataDir = DataCommand.DataDir();
        var maxTokens = Options.Create("--max_tokens", "Stop after about so many predictions; 0: the whole split.", 0L).Where(count => count >= 0, "0 or more");
        var command = new Command("eval", "Validation loss and bits per byte of a model of any format: compare fp32 with int8, or models of different vocabularies.") { model, tokenizer, dataset, dataDir, maxTokens };
        command.SetAction((parsed, cancellation) => Task.FromResult(Run(parsed.GetValue(model)!, parsed.GetValue(tokenizer),
            new DataFolder(parsed.GetValue(dataDir)!, parsed.GetValue(dataset)!), parsed.GetValue(maxTokens), cancellation)));
        return command;
    }

    private static int Run(string path, string? tokenizerPath, DataFolder folder, long maxTokens, CancellationToken cancellation)
    {
        using var source = ModelSource.Open(path);
        var tokenizer = new Tokenizer(ModelTokenizer.Of(tokenizerPath, source).Vocabulary);
        if (source.Tensors is NativeCheckpoint)
        {
            TorchRuntime.Load();
            Print(RunInTorch(source, tokenizer, folder, maxTokens, cancellation));
            return 0;
        }
        using var file = new RunnableFile(source, cancellation);
        Print(ValidationLoss.OfFile(path, file.Path, tokenizer, folder, maxTokens, cancellation));
        return 0;
    }

    // Apart, since the runtime loads libtorch on entry to a method that names it.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ValidationLoss RunInTorch(ModelSource source, Tokenizer tokenizer, DataFolder folder, long maxTokens, CancellationToken cancellation)
    {
        using var model = Transformer.Load(source.Tensors, ModelPlacement.Choose(device: null, "float32"));
        model.eval();
        return ValidationLoss.Of(source.Path, model.Config, tokenizer, folder, maxTokens, model.SumOfLosses, cancellation);
    }

    private static void Print(ValidationLoss loss) => Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
        $"val loss {loss.PerToken:F6} over {loss.Tokens} tokens of {loss.Text}, {loss.Nats / Math.Log(2) / loss.Bytes:F6} bits per byte of {loss.Bytes} bytes"));
}
