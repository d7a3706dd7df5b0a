using System.Diagnostics;
using LlamaFullstack.Core;

namespace LlamaFullstack.Inference.Benchmarks;

/// <summary>Measures how fast a model runs here: its prompt and the arithmetic that bounds it, its decoding and the memory that bounds that.</summary>
/// <remarks>Other programs disturb a measurement for moments, and machines shared with others change their speed within a second: each figure is the median
/// of rounds, what bounds it is measured in the same round by the same threads, and decoding and reading take turns, so that a slow time falls on both alike.</remarks>
public static class Benchmark
{
    // Of each figure in a round: long enough that a small model's time is not the clock's, short enough to be patient with.
    private static readonly TimeSpan LeastTime = TimeSpan.FromMilliseconds(200);

    // Of decoding and reading in a round.
    private const int Turns = 10;

    // The runtime compiles well what has been called often once nothing new has been called for 100 ms, and that twice: what a small model
    // did in its first half second was up to four times slower.
    private static readonly TimeSpan WarmUpTime = TimeSpan.FromMilliseconds(600);

    /// <summary>Measures a model.</summary>
    /// <param name="model">Any model.</param>
    /// <param name="settings">What to measure.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    /// <exception cref="ArgumentException">The model's context is too short for the settings.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static unsafe BenchmarkResult Run(LlamaModel model, BenchmarkSettings settings, CancellationToken cancellation = default)
    {
        var context = model.Config.MaxSeqLen;
        var position = settings.Position;
        var count = settings.DecodeTokens ?? Math.Max(1, Math.Min(BenchmarkSettings.DefaultDecodeTokens, context - position));
        var promptLength = settings.PromptTokens ?? Math.Min(BenchmarkSettings.DefaultPromptTokens, context);
        if (promptLength > context)
            throw new ArgumentException($"--prompt {promptLength}: the model's context is {context}.");
        if (position + (long)count > context)
            throw new ArgumentException($"--tokens {count} from --position {position} on: the model's context is {context}.");

        using var transformer = new Transformer(model, new EngineOptions { Threads = settings.Threads, Strict = settings.Strict });
        // As much of the file as a token reads of its weights. (What a GGUF file's weights are converted to may be more than the file.)
        var memory = new ReadBandwidth(model.File.Pointer, Math.Min(model.WeightBytesPerToken, model.File.Length), transformer.Pool);
        var arithmetic = new PeakArithmetic(transformer.Pool);
        var sampler = new Sampler(model.Config.VocabSize, temperature: 0, topP: 0, seed: 1);
        var prompt = Tokens(promptLength, model.Config.VocabSize);

        void ReadPrompt(int[] tokens)
        {
            for (var pos = 0; pos < tokens.Length; pos += Transformer.BatchSize)
            {
                cancellation.ThrowIfCancellationRequested();
                transformer.Accept(tokens.AsSpan(pos, Math.Min(Transformer.BatchSize, tokens.Length - pos)), pos);
            }
        }
        var (token, next) = (prompt[0], position);
        void Decode()
        {
            cancellation.ThrowIfCancellationRequested();
            token = sampler.Sample(transformer.Forward(token, next));
            if (++next == position + count)
                (token, next) = (prompt[0], position);
        }

        ReadPrompt(Tokens(position, model.Config.VocabSize)); // what decoding attends to
        WarmUp(Decode, count); // brings the file into memory and, as the next line does, the code to its final form
        WarmUp(() => ReadPrompt(prompt), 1);
        var (prompts, decodes) = (new double[settings.Repeats], new double[settings.Repeats]);
        var (peaks, reads) = (new double[settings.Repeats], new double[settings.Repeats]);
        for (var round = 0; round < settings.Repeats; round++)
        {
            double[] speeds = TimesPerSecond(Turns, (Decode, count), (memory.ReadAll, 1), (memory.ReadAllWithHints, 1));
            decodes[round] = speeds[0];
            reads[round] = memory.Length * Math.Max(speeds[1], speeds[2]);
            speeds = TimesPerSecond(1, (() => ReadPrompt(prompt), 1), (arithmetic.Run, 1));
            prompts[round] = promptLength * speeds[0];
            peaks[round] = arithmetic.Count * speeds[1];
        }
        return new BenchmarkResult
        {
            WeightType = model.WeightType,
            WeightBytesPerToken = model.WeightBytesPerToken,
            Threads = transformer.Threads,
            Kernels = transformer.Kernels.Name,
            Repeats = settings.Repeats,
            PromptTokens = promptLength,
            PromptMultiplyAdds = MultiplyAdds(model.Config, promptLength),
            PromptTokensPerSecond = Median(prompts),
            PeakMultiplyAddsPerSecond = Median(peaks),
            Position = position,
            DecodeTokens = count,
            DecodeTokensPerSecond = Median(decodes),
            ReadBytesPerSecond = Median(reads),
            ResidentBytes = Environment.WorkingSet,
        };
    }

    /// <summary>Each token by every weight of the layers, and attention's two products over the positions up to each. The classifier is not asked for.</summary>
    private static long MultiplyAdds(LlamaConfig c, long tokens)
    {
        var weights = 2L * c.Dim * (c.Dim + c.KvDim) + 3L * c.Dim * c.HiddenDim;
        return c.NLayers * (tokens * weights + 2 * c.Dim * (tokens * (tokens + 1) / 2));
    }

    private static void WarmUp(Action work, int least)
    {
        var start = Stopwatch.GetTimestamp();
        for (var times = 0; times < least || Stopwatch.GetElapsedTime(start) < WarmUpTime; times++)
            work();
    }

    /// <summary>How often some kinds of work can be done in a second, each for <see cref="LeastTime"/> and at least so many times, in turns.</summary>
    private static double[] TimesPerSecond(int turns, params ReadOnlySpan<(Action Do, int Least)> works)
    {
        var (times, seconds) = (new int[works.Length], new double[works.Length]);
        for (var turn = 1; turn <= turns; turn++)
        {
            for (var i = 0; i < works.Length; i++)
            {
                var start = Stopwatch.GetTimestamp();
                do
                {
                    works[i].Do();
                    times[i]++;
                }
                while (Stopwatch.GetElapsedTime(start) < LeastTime / turns || (long)times[i] * turns < (long)works[i].Least * turn);
                seconds[i] += Stopwatch.GetElapsedTime(start).TotalSeconds;
            }
        }
        return [.. times.Zip(seconds, (count, time) => count / time)];
    }

    private static double Median(double[] values)
    {
        Array.Sort(values);
        return (values[(values.Length - 1) / 2] + values[values.Length / 2]) / 2;
    }

    /// <summary>Tokens that lie all over the vocabulary: every embedding is as likely as another.</summary>
    private static int[] Tokens(int count, int vocabSize)
    {
        const int Prime = 7919;
        return [.. Enumerable.Range(1, count).Select(i => (int)((long)i * Prime % vocabSize))];
    }
}
