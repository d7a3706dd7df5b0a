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
    /// <param name="model">The model's file.</param>
    /// <param name="config">Its shape.</param>
    /// <param name="folder">The dataset.</param>
    /// <param name="maxTokens">See the option.</param>
    /// <param name="sumOfLosses">max_seq_len tokens and one more → the sum of -log p of each but the first, in nats.</param>
    /// <param name="cancellation">Stops between windows.</param>
    private static int Evaluate(
        string model, LlamaConfig config, DataFolder folder, long maxTokens, Func<long[], double> sumOfLosses, CancellationToken cancellation)
    {
        var paths = FindValidation(folder, config.VocabSize);
        var tokenizer = new Tokenizer(TokenizerFile.Read(null, model, config.VocabSize));
        using var bar = new ProgressBar($"eval {model}");
        var (nats, count, bytes) = (0.0, 0L, 0L);
        var end = maxTokens > 0 ? maxTokens : long.MaxValue;
        foreach (var path in paths)
        {
            using var shard = TokenShard.Open(path);
            foreach (var window in Windows(shard, config))
            {
                if (count >= end)
                    break;
                cancellation.ThrowIfCancellationRequested();
                nats += sumOfLosses(window);
                count += config.MaxSeqLen;
                for (var i = 1; i < window.Length; i++)
                    bytes += tokenizer.Decode((int)window[i - 1], (int)window[i]).Length;
                bar.Report(count, Math.Min(end, shard.Length));
            }
        }
        if (count == 0)
            throw new InvalidDataException($"{paths[0]}: fewer tokens than the model's context of {config.MaxSeqLen}; add stories.");
        var more = paths.Count > 1 ? $" and {paths.Count - 1} more" : "";
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"val loss {nats / count:F6} over {count} tokens of {paths[0]}{more}, {nats / Math.Log(2) / bytes:F6} bits per byte of {bytes} bytes"));
        return 0;
    }

    /// <summary>The windows of training's evaluation: one after the other, each with the token after it too.</summary>
    private static IEnumerable<long[]> Windows(TokenShard shard, LlamaConfig config)
    {
        var tokens = new long[config.MaxSeqLen + 1];
        for (var start = 0L; start + tokens.Length <= shard.Length; start += config.MaxSeqLen)
        {
            shard.Read(start, tokens);
            if (tokens.FirstOrDefault(token => token >= config.VocabSize, -1) is >= 0 and var foreign)
                throw new InvalidDataException($"{shard.Path}: token {foreign} is not in the model's vocabulary of {config.VocabSize}. Were the shards made with another one?");
            yield return tokens;
        }
    }

    private static IReadOnlyList<string> FindValidation(DataFolder folder, int vocabSize)
    {
        var isLlama2 = vocabSize == Llama2VocabSize && folder.TokenShards(vocabSize).Count == 0;
        return TokenSplits.Find(folder, isLlama2 ? 0 : vocabSize).Validation;
    }
}
