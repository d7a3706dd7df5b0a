using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Tokens;
using LlamaFullstack.Inference;

namespace LlamaFullstack.Cli;

/// <summary>How well a model foretells a dataset's validation split, over training's windows.</summary>
/// <param name="Nats">Σ −log p of every prediction.</param>
/// <param name="Tokens">Predictions.</param>
/// <param name="Bytes">Bytes of text that they are; 0 where no tokenizer was given.</param>
/// <param name="Text">The shards, for people.</param>
internal sealed record ValidationLoss(double Nats, long Tokens, long Bytes, string Text)
{
    private const int Llama2VocabSize = 32000;

    /// <summary>Mean cross-entropy in nats a token.</summary>
    public double PerToken => Nats / Tokens;

    /// <summary>Of a model file, by the engine.</summary>
    /// <param name="path">Of any version, or a GGUF file.</param>
    /// <param name="folder">The dataset.</param>
    /// <param name="maxTokens">About so many predictions at the most; 0: the whole split.</param>
    /// <param name="hasTokenizer">Whether one lies with the model, to count bytes with.</param>
    /// <param name="cancellation">Stops between windows.</param>
    public static ValidationLoss OfFile(string path, DataFolder folder, long maxTokens, bool hasTokenizer, CancellationToken cancellation)
    {
        using var model = LlamaModel.Open(path);
        using var transformer = new Transformer(model);
        var tokenizer = hasTokenizer ? new Tokenizer(TokenizerFile.Read(null, path, model.Config.VocabSize)) : null;
        return Of(path, model.Config, tokenizer, folder, maxTokens, window =>
        {
            var evaluation = new LossEvaluation();
            evaluation.Add(transformer, window);
            return evaluation.MeanLoss * evaluation.Count;
        }, cancellation);
    }

    /// <summary>Of any model.</summary>
    /// <param name="model">The model's name, for the progress.</param>
    /// <param name="config">Its shape.</param>
    /// <param name="tokenizer">Its tokenizer, to count bytes; null to count none.</param>
    /// <param name="folder">The dataset.</param>
    /// <param name="maxTokens">About so many predictions at the most; 0: the whole split.</param>
    /// <param name="sumOfLosses">max_seq_len tokens and one more → the sum of −log p of each but the first, in nats.</param>
    /// <param name="cancellation">Stops between windows.</param>
    /// <exception cref="InvalidDataException">There are no shards, or they are another vocabulary's, or too short.</exception>
    public static ValidationLoss Of(string model, LlamaConfig config, Tokenizer? tokenizer, DataFolder folder, long maxTokens,
        Func<long[], double> sumOfLosses, CancellationToken cancellation)
    {
        var paths = FindValidation(folder, config.VocabSize);
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
                for (var i = 1; i < window.Length && tokenizer is not null; i++)
                    bytes += tokenizer.Decode((int)window[i - 1], (int)window[i]).Length;
                bar.Report(count, Math.Min(end, shard.Length));
            }
        }
        if (count == 0)
            throw new InvalidDataException($"{paths[0]}: fewer tokens than the model's context of {config.MaxSeqLen}; add stories.");
        var more = paths.Count > 1 ? $" and {paths.Count - 1} more" : "";
        return new ValidationLoss(nats, count, bytes, paths[0] + more);
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
