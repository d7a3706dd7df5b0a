using System.Diagnostics;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Inference;

/// <summary>Continues a text: tokens in, tokens or characters out, as they come.</summary>
/// <remarks>Not thread-safe: it drives one transformer. Each run begins at position 0. Nothing is allocated per token.</remarks>
public sealed class Generator
{
    private readonly Transformer _transformer;
    private readonly Tokenizer _tokenizer;
    private readonly Sampler _sampler;
    private int _steps;
    private int _firstSteps;
    private long _firstStepEnd;
    private long _lastStepEnd;

    /// <summary>Puts the parts together; they stay the caller's.</summary>
    /// <param name="transformer">Computes logits.</param>
    /// <param name="tokenizer">Of the same vocabulary.</param>
    /// <param name="sampler">Chooses tokens.</param>
    /// <exception cref="ArgumentException">The tokenizer belongs to another model.</exception>
    public Generator(Transformer transformer, Tokenizer tokenizer, Sampler sampler)
    {
        RequireSameVocabulary(transformer, tokenizer);
        (_transformer, _tokenizer, _sampler) = (transformer, tokenizer, sampler);
    }

    /// <summary>Of the run in progress, or of the last one.</summary>
    public GenerationStatistics Statistics => new(_steps, _firstSteps, _steps == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(_firstStepEnd, _lastStepEnd));

    /// <summary>The tokens after the first, the prompt's included: forced while the prompt lasts, which costs no coin, then sampled.</summary>
    /// <param name="prompt">Token ids, at least one; usually begins with <see cref="Vocabulary.Bos"/>.</param>
    /// <param name="steps">Positions to compute, the prompt included; 0, or more than the model's context, for the whole context.</param>
    /// <param name="cancellation">Stops between two tokens, or two batches of the prompt.</param>
    /// <returns>Ends after that many steps, or where the model ends its text with <see cref="Vocabulary.Bos"/> or
    /// <see cref="Vocabulary.Eos"/>, which is not returned. What follows the prompt is computed when it is asked for.</returns>
    /// <exception cref="ArgumentException">The prompt is empty, or steps is negative.</exception>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public IEnumerable<int> Tokens(ReadOnlyMemory<int> prompt, int steps, CancellationToken cancellation = default)
    {
        if (prompt.IsEmpty)
            throw new ArgumentException("the prompt has no tokens; it needs at least one.", nameof(prompt));
        ArgumentOutOfRangeException.ThrowIfNegative(steps);
        var context = _transformer.Model.Config.MaxSeqLen;
        return Run(prompt, steps == 0 ? context : Math.Min(steps, context), cancellation);
    }

    /// <summary>Writes the prompt and what follows it, in whole UTF-8 characters.</summary>
    /// <param name="prompt">The text to continue; may be empty.</param>
    /// <param name="steps">As for <see cref="Tokens"/>.</param>
    /// <param name="write">Takes each piece of text at once; the memory is only valid during the call.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public GenerationStatistics Write(string prompt, int steps, Action<ReadOnlySpan<byte>> write, CancellationToken cancellation = default)
    {
        var ids = _tokenizer.Encode(prompt, bos: true);
        var characters = new Utf8Stream();
        var previous = ids[0];
        foreach (var token in Tokens(ids, steps, cancellation))
        {
            write(characters.Push(_tokenizer.Decode(previous, token)));
            previous = token;
        }
        write(characters.Flush());
        return Statistics;
    }

    /// <summary>Throws unless a tokenizer has as many pieces as a model has tokens.</summary>
    internal static void RequireSameVocabulary(Transformer transformer, Tokenizer tokenizer)
    {
        var vocabSize = transformer.Model.Config.VocabSize;
        if (tokenizer.VocabSize != vocabSize)
            throw new ArgumentException($"the tokenizer has {tokenizer.VocabSize} tokens, but the model has {vocabSize}.", nameof(tokenizer));
    }

    private IEnumerable<int> Run(ReadOnlyMemory<int> prompt, int steps, CancellationToken cancellation)
    {
        _steps = 0;
        // The prompt but for its last token, whose successor is the first to be chosen.
        var known = Math.Min(prompt.Length - 1, steps);
        for (var pos = 0; pos < known;)
        {
            cancellation.ThrowIfCancellationRequested();
            var count = Math.Min(Transformer.BatchSize, known - pos);
            _transformer.Accept(prompt.Span.Slice(pos, count), pos);
            CountSteps(count);
            for (var end = pos + count; pos < end; pos++)
                yield return prompt.Span[pos + 1];
        }
        var token = prompt.Span[known];
        for (var pos = known; pos < steps; pos++)
        {
            cancellation.ThrowIfCancellationRequested();
            token = _sampler.Sample(Sampler.RequireChoice(_transformer.Forward(token, pos)));
            CountSteps(1);
            if (token is Vocabulary.Bos or Vocabulary.Eos)
                yield break;
            yield return token;
        }
    }

    private void CountSteps(int count)
    {
        _lastStepEnd = Stopwatch.GetTimestamp();
        if (_steps == 0)
            (_firstSteps, _firstStepEnd) = (count, _lastStepEnd);
        _steps += count;
    }
}
