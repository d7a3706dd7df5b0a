using System.Globalization;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Inference;

namespace LlamaFullstack.Run;

/// <summary>A model file → text on stdout, and nothing else there.</summary>
public static class RunProgram
{
    /// <summary>Runs a command line to its exit code.</summary>
    /// <param name="program">How the program is called, for its help.</param>
    /// <param name="args">What follows that name.</param>
    public static int Run(string program, string[] args) => ExitCode.Of(cancellation => Run(program, args, cancellation));

    /// <summary>Runs a command line. Its exceptions are the caller's.</summary>
    /// <exception cref="UsageException">The command line is wrong.</exception>
    public static int Run(string program, IReadOnlyList<string> args, CancellationToken cancellation)
    {
        var options = Parse(program, args);
        if (options.Help)
        {
            RunOptions.HelpOf(program).Print();
            return ExitCode.Done;
        }
        using var model = ModelFile.Open(options.Model);
        var vocabSize = model.Config.VocabSize;
        var tokenizer = new Tokenizer(TokenizerFile.Read(options.Tokenizer, model.Path, vocabSize));
        var seed = options.Seed != 0 ? options.Seed : (ulong)DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var sampler = new Sampler(vocabSize, options.Temperature, options.TopP, seed);
        using var transformer = new Transformer(model, new EngineOptions { Threads = options.Threads, Strict = options.Strict });
        try
        {
            Write(options, transformer, tokenizer, sampler, cancellation);
        }
        catch (InvalidDataException e) // what the sampler says of logits, which knows no files
        {
            throw new InvalidDataException($"{model.Path}: {e.Message}", e);
        }
        return ExitCode.Done;
    }

    private static RunOptions Parse(string program, IReadOnlyList<string> args)
    {
        try
        {
            return RunOptions.Parse(args);
        }
        catch (UsageException e)
        {
            throw new UsageException($"{e.Message} See {program} --help.");
        }
    }

    private static void Write(RunOptions options, Transformer transformer, Tokenizer tokenizer, Sampler sampler, CancellationToken cancellation)
    {
        using var output = StandardStreams.OpenOutput();
        if (options.Chat)
        {
            using var input = StandardStreams.OpenInput();
            new ChatMode(transformer, tokenizer, sampler, input, output).Run(options.SystemPrompt, options.Prompt, cancellation);
            return;
        }
        SayWhatIsCut(options, tokenizer, transformer.Model.Config.MaxSeqLen);
        Generate(new Generator(transformer, tokenizer, sampler), options, output, cancellation);
    }

    private static void Generate(Generator generator, RunOptions options, Stream output, CancellationToken cancellation)
    {
        var begun = false;
        try
        {
            generator.Write(options.Prompt, options.Steps, text =>
            {
                begun = true;
                output.Write(text);
            }, cancellation);
        }
        finally
        {
            if (begun)
                output.WriteByte((byte)'\n'); // also after Ctrl-C, so that what follows begins on a line of its own
        }
        if (generator.Statistics.TokensPerSecond > 0)
            ExitCode.Say(string.Create(CultureInfo.InvariantCulture, $"achieved tok/s: {generator.Statistics.TokensPerSecond:F3}"));
    }

    private static void SayWhatIsCut(RunOptions options, Tokenizer tokenizer, int context)
    {
        if (options.Prompt.Length == 0)
            return;
        var tokens = tokenizer.Encode(options.Prompt, bos: true).Length;
        if (tokens > context)
            ExitCode.Say($"the prompt has {tokens} tokens, but the model's context is {context}: the text ends before the prompt does.");
        else if (options.Steps > 0 && tokens > options.Steps)
            ExitCode.Say($"the prompt has {tokens} tokens, but --steps is {options.Steps}: the text ends before the prompt does.");
    }
}
