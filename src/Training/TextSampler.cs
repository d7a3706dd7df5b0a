using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training;

/// <summary>Model and prompt → tokens, one after the other, as llama2.c's sample.py. Knows nothing about text.</summary>
/// <remarks>
/// As the engine does, and unlike sample.py, it ends where the model begins another text (BOS) or ends this one (EOS). Beyond max_seq_len,
/// as there, the oldest tokens are forgotten.
/// </remarks>
public sealed class TextSampler
{
    private readonly Transformer _model;
    private readonly double _temperature;
    private readonly int _topK;

    /// <summary>Seeds torch's generator, which all draws come from.</summary>
    /// <param name="model">The model.</param>
    /// <param name="temperature">Below 1 likely tokens become likelier; 0 always takes the likeliest.</param>
    /// <param name="topK">Only that many of the likeliest tokens are drawn from; 0 draws from all.</param>
    /// <param name="seed">Decides what is drawn.</param>
    public TextSampler(Transformer model, double temperature, int topK, long seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(temperature);
        ArgumentOutOfRangeException.ThrowIfNegative(topK);
        _model = model;
        _temperature = temperature;
        _topK = topK;
        manual_seed(seed);
    }

    /// <summary>Goes on from a prompt.</summary>
    /// <param name="prompt">Token ids, BOS first.</param>
    /// <param name="maxNewTokens">The most tokens to add.</param>
    /// <returns>The new tokens, each as soon as it is known.</returns>
    public IEnumerable<int> Generate(IReadOnlyList<int> prompt, int maxNewTokens)
    {
        ArgumentOutOfRangeException.ThrowIfZero(prompt.Count);
        _model.eval();
        using var cache = _model.NewCache();
        List<long> context = [.. prompt];
        var read = 0;
        for (var i = 0; i < maxNewTokens; i++)
        {
            if (context.Count > _model.Config.MaxSeqLen)
            {
                // Every token moves to another position, so all keys change.
                context.RemoveRange(0, context.Count - _model.Config.MaxSeqLen);
                cache.Clear();
                read = 0;
            }
            var token = Next(context.GetRange(read, context.Count - read), cache);
            read = context.Count;
            if (token is Vocabulary.Bos or Vocabulary.Eos)
                yield break;
            context.Add(token);
            yield return token;
        }
    }

    private int Next(List<long> tokens, KvCache cache)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var logits = _model.NextLogits(tokens, cache);
        if (!logits.isfinite().all().ToBoolean())
            throw new InvalidDataException("the model's logits are not numbers (NaN): its weights are damaged, or training diverged. Use an earlier checkpoint.");
        if (_temperature == 0)
            return (int)logits.argmax(-1).ToInt64();
        logits /= _temperature;
        if (_topK > 0 && _topK < logits.shape[1])
        {
            var least = topk(logits, _topK, dim: -1).values.narrow(-1, _topK - 1, 1);
            logits = logits.masked_fill(logits < least, double.NegativeInfinity);
        }
        return (int)multinomial(nn.functional.softmax(logits, dim: -1), 1).ToInt64();
    }
}
