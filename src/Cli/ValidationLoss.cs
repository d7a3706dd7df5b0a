using LlamaFullstack.Core;
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
    /// <param name="name">The model's name, for the progress and for messages.</param>
    /// <param name="path">Of any version, or a GGUF file.</param>
    /// <param name="tokenizer">Its tokenizer, to count bytes; null to count none.</param>
    /// <param name="folder">The dataset.</param>
    /// <param name="maxTokens">About so many predictions at the most; 0: the whole split.</param>
    /// <param name="cancellation">Stops between windows.</param>
    /// <exception cref="InvalidDataException">As of <see cref="Of"/>, or the file is damaged.</exception>
    public static ValidationLoss OfFile(string name, string path, Tokenizer? tokenizer, DataFolder folder, long maxTokens, CancellationToken cancellation)
    {
        using var model = LlamaModel.Open(path);
        using var transformer = new Transformer(model);
        return Of(name, model.Config, tokenizer, folder, maxTokens, window =>
        {
            var evaluation = new LossEvaluation();
            evaluation.Add(transformer, window);
            return evaluation.MeanLoss * evaluation.Count;
        }, cancellation);
    }

    /// <summary>Of any model.</summary>
    /// <param name="name">The model's name, for the progress and for messages.</param>
    /// <param name="config">Its shape.</param>
    /// <param name="tokenizer">Its tokenizer, to count bytes; null to count none.</param>
    /// <param name="folder">The dataset.</param>
    /// <param name="maxTokens">About so many predictions at the most; 0: the whole split.</param>
    /// <param name="sumOfLosses">max_seq_len tokens and one more → the sum of −log p of each but the first, in nats.</param>
    /// <param name="cancellation">Stops between windows.</param>
    /// <exception cref="InvalidDataException">There are no shards, or they are another vocabulary's, or too short; or the model's losses are no numbers.</exception>
    public static ValidationLoss Of(string name, LlamaConfig config, Tokenizer? tokenizer, DataFolder folder, long maxTokens,
        Func<long[], double> sumOfLosses, CancellationToken cancellation)
    {
        var shards = TokenShard.OpenAll(FindValidation(folder, config.VocabSize));
        try
        {
            return OverShards(name, config, tokenizer, shards, maxTokens > 0 ? maxTokens : long.MaxValue, sumOfLosses, cancellation);
        }
        finally
        {
            foreach (var shard in shards)
                shard.Dispose();
        }
    }

    private static ValidationLoss OverShards(string name, LlamaConfig config, Tokenizer? tokenizer, TokenShard[] shards, long maxTokens,
        Func<long[], double> sumOfLosses, CancellationToken cancellation)
    {
        var total = Math.Min(maxTokens, shards.Sum(shard => shard.Length));
        var (nats, count, bytes) = (0.0, 0L, 0L);
        using var bar = new ProgressBar($"eval {name}");
        foreach (var window in shards.SelectMany(shard => Windows(shard, config)).TakeWhile(_ => count < maxTokens))
        {
            cancellation.ThrowIfCancellationRequested();
            nats += sumOfLosses(window);
            if (!double.IsFinite(nats))
                throw new InvalidDataException($"{name}: the loss of tokens {count:N0} to {count + config.MaxSeqLen:N0} is not a finite number. See what is wrong with the weights: llamafs inspect {name}");
            count += config.MaxSeqLen;
            for (var i = 1; i < window.Length && tokenizer is not null; i++)
                bytes += tokenizer.Decode((int)window[i - 1], (int)window[i]).Length;
            bar.Report(count, total);
        }
        if (count == 0)
            throw new InvalidDataException($"{shards[0].Path}: fewer tokens than the model's context of {config.MaxSeqLen}; add stories.");
        var more = shards.Length > 1 ? $" and {shards.Length - 1} more" : "";
        return new ValidationLoss(nats, count, bytes, shards[0].Path + more);
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
