using System.CommandLine;
using System.Globalization;
using System.Runtime.CompilerServices;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Tokens;
using LlamaFullstack.Inference;
using LlamaFullstack.Training;
using LlamaFullstack.Training.Model;
using LlamaFullstack.Training.Native;
using Transformer = LlamaFullstack.Inference.Transformer;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs eval: a model file (by the engine) or a checkpoint (by torch) → its loss on the whole validation split, a token and a byte.</summary>
internal static class EvalCommand
{
    private const int Llama2VocabSize = 32000;

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
            return RunInTorch(path, folder, maxTokens, cancellation);
        }
        using var model = LlamaModel.Open(path);
        using var transformer = new Transformer(model);
        return Evaluate(path, model.Config, folder, maxTokens, window =>
        {
            var evaluation = new LossEvaluation();
            evaluation.Add(transformer, window);
            return evaluation.MeanLoss * evaluation.Count;
        }, cancellation);
    }

    // Apart, since the runtime loads libtorch on entry to a method that names it.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int RunInTorch(string path, DataFolder folder, long maxTokens, CancellationToken cancellation)
    {
        using var model = SavedModel.Load(path, ModelPlacement.Choose(device: null, "float32"));
        model.eval();
        return Evaluate(path, model.Config, folder, maxTokens, model.SumOfLosses, cancellation);
    }

    /// <summary>Prints the mean over the split's windows.</summary>
    /// <param name="path">The model's file.</param>
    /// <param name="config">Its shape.</param>
    /// <param name="folder">The dataset.</param>
    /// <param name="maxTokens">See the option.</param>
    /// <param name="sumOfLosses">max_seq_len tokens and one more → the sum of -log p of each but the first, in nats.</param>
    /// <param name="cancellation">Stops between windows.</param>
    private static int Evaluate(
        string path, LlamaConfig config, DataFolder folder, long maxTokens, Func<long[], double> sumOfLosses, CancellationToken cancellation)
    {
        using var shard = OpenValidation(folder, config.VocabSize);
        var tokenizer = new Tokenizer(TokenizerFile.Read(null, path, config.VocabSize));
        using var bar = new ProgressBar($"eval {path}");
        var tokens = new long[config.MaxSeqLen + 1];
        var end = maxTokens > 0 ? Math.Min(maxTokens, shard.Length) : shard.Length;
        var (nats, count, bytes) = (0.0, 0L, 0L);

        // The windows of training's evaluation: one after the other, each predicting the token after it too.
        for (var start = 0L; start < end && start + tokens.Length <= shard.Length; start += config.MaxSeqLen)
        {
            cancellation.ThrowIfCancellationRequested();
            shard.Read(start, tokens);
            if (tokens.FirstOrDefault(token => token >= config.VocabSize, -1) is >= 0 and var foreign)
                throw new InvalidDataException($"{shard.Path}: token {foreign} is not in the model's vocabulary of {config.VocabSize}. Were the shards made with another one?");
            nats += sumOfLosses(tokens);
            count += config.MaxSeqLen;
            for (var i = 1; i < tokens.Length; i++)
                bytes += tokenizer.Decode((int)tokens[i - 1], (int)tokens[i]).Length;
            bar.Report(start + tokens.Length, end);
        }
        if (count == 0)
            throw new InvalidDataException($"{shard.Path}: {shard.Length} tokens are fewer than the model's context of {config.MaxSeqLen}; add stories.");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"val loss {nats / count:F6} over {count} tokens of {shard.Path}, {nats / Math.Log(2) / bytes:F6} bits per byte of {bytes} bytes"));
        return 0;
    }

    private static TokenShard OpenValidation(DataFolder folder, int vocabSize)
    {
        var shards = folder.TokenShards(vocabSize);
        if (shards.Count == 0 && vocabSize == Llama2VocabSize)
            shards = folder.TokenShards(0);
        return shards.Count > 0 ? TokenShard.Open(shards[0])
            : throw new InvalidDataException($"{folder.Tokens(vocabSize)}: no token shards. Run {folder.PretokenizeCommand(vocabSize)} first.");
    }
}
