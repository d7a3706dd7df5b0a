using System.CommandLine;
using System.Globalization;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Tokens;
using LlamaFullstack.Inference;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs eval: a model file → its loss on the validation split, computed by the engine.</summary>
internal static class EvalCommand
{
    private const int Llama2VocabSize = 32000;

    public static Command Create()
    {
        var model = new Argument<string>("model") { Description = "Model file, such as out/model.bin." };
        var dataset = DataCommand.Dataset();
        var dataDir = DataCommand.DataDir();
        var maxTokens = Options.Create("--max_tokens", "Stop after about so many predictions; 0: the whole split.", 0L);
        var command = new Command("eval", "Validation loss of a model file: compare fp32 with int8, or two models.") { model, dataset, dataDir, maxTokens };
        command.SetAction((parsed, cancellation) => Task.FromResult(Run(parsed.GetValue(model)!,
            new DataFolder(parsed.GetValue(dataDir)!, parsed.GetValue(dataset)!), parsed.GetValue(maxTokens), cancellation)));
        return command;
    }

    private static int Run(string modelPath, DataFolder folder, long maxTokens, CancellationToken cancellation)
    {
        using var model = LlamaModel.Open(modelPath);
        using var shard = OpenValidation(folder, model.Config.VocabSize);
        using var transformer = new Transformer(model);
        using var bar = new ProgressBar($"eval {modelPath}");
        var evaluation = new LossEvaluation();
        var tokens = new long[model.Config.MaxSeqLen + 1];
        var end = maxTokens > 0 ? Math.Min(maxTokens, shard.Length) : shard.Length;

        // The windows of training's evaluation: one after the other, each predicting the token after it too.
        for (var start = 0L; start < end && start + tokens.Length <= shard.Length; start += model.Config.MaxSeqLen)
        {
            cancellation.ThrowIfCancellationRequested();
            shard.Read(start, tokens);
            if (tokens.FirstOrDefault(token => token >= model.Config.VocabSize, -1) is >= 0 and var foreign)
                throw new InvalidDataException($"{shard.Path}: token {foreign} is not in the model's vocabulary of {model.Config.VocabSize}. Were the shards made with another one?");
            evaluation.Add(transformer, tokens);
            bar.Report(start + tokens.Length, end);
        }
        if (evaluation.Count == 0)
            throw new InvalidDataException($"{shard.Path}: {shard.Length} tokens are fewer than the model's context of {model.Config.MaxSeqLen}; add stories.");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"val loss {evaluation.MeanLoss:F6} over {evaluation.Count} tokens of {shard.Path}"));
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
