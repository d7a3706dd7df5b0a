using System.CommandLine;
using System.Globalization;
using LlamaFullstack.Core;
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
        var paths = FindValidation(folder, model.Config.VocabSize);
        using var transformer = new Transformer(model);
        using var bar = new ProgressBar($"eval {modelPath}");
        var evaluation = new LossEvaluation();
        foreach (var path in paths)
            Add(evaluation, model.Config, transformer, path, maxTokens > 0 ? maxTokens : long.MaxValue, bar, cancellation);
        if (evaluation.Count == 0)
            throw new InvalidDataException($"{paths[0]}: fewer tokens than the model's context of {model.Config.MaxSeqLen}; add stories.");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"val loss {evaluation.MeanLoss:F6} over {evaluation.Count} tokens of {paths[0]}{(paths.Count > 1 ? $" and {paths.Count - 1} more" : "")}"));
        return 0;
    }

    /// <summary>Adds a shard, but no more than so many predictions in all.</summary>
    private static void Add(
        LossEvaluation evaluation, LlamaConfig config, Transformer transformer, string path, long maxTokens, ProgressBar bar, CancellationToken cancellation)
    {
        using var shard = TokenShard.Open(path);
        var tokens = new long[config.MaxSeqLen + 1];

        // The windows of training's evaluation: one after the other, each predicting the token after it too.
        for (var start = 0L; evaluation.Count < maxTokens && start + tokens.Length <= shard.Length; start += config.MaxSeqLen)
        {
            cancellation.ThrowIfCancellationRequested();
            shard.Read(start, tokens);
            if (tokens.FirstOrDefault(token => token >= config.VocabSize, -1) is >= 0 and var foreign)
                throw new InvalidDataException($"{shard.Path}: token {foreign} is not in the model's vocabulary of {config.VocabSize}. Were the shards made with another one?");
            evaluation.Add(transformer, tokens);
            bar.Report(start + tokens.Length, Math.Min(maxTokens, shard.Length));
        }
    }

    private static IReadOnlyList<string> FindValidation(DataFolder folder, int vocabSize)
    {
        var isLlama2 = vocabSize == Llama2VocabSize && folder.TokenShards(vocabSize).Count == 0;
        return TokenSplits.Find(folder, isLlama2 ? 0 : vocabSize).Validation;
    }
}
