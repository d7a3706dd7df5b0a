using System.CommandLine;
using System.Globalization;
using System.Text;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Inference;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs run: a model file → text on stdout, and nothing else there.</summary>
internal static class RunCommand
{
    private const float DefaultTopP = 0.9f;

    private static readonly Argument<string> Model =
        new("model") { Description = "Model file in llama2.c's format (v0, v1 or v2), such as out/model.bin, or a GGUF file of a Llama model." };
    private static readonly Option<float> Temperature =
        Options.Create("--temperature", "How freely to choose: 0 always takes the likeliest token, below 0 is 0.", 1f, "-t");
    private static readonly Option<float> TopP = Options.Create("--topp",
        "Choose among the likeliest tokens that exceed this probability together; 0 or 1: among all.", DefaultTopP, "-p");
    private static readonly Option<ulong> Seed = Options.Create("--seed", "The same seed tells the same story; 0: the time.", 0UL, "-s");
    private static readonly Option<int> Steps = Options.Create("--steps",
        "Tokens at most, the prompt's included; 0, or above the model's context: the whole context. Chat has no such limit.", 256, "-n");
    private static readonly Option<string> Prompt =
        Options.Create("--prompt", "Text to continue; in chat, the first thing to say.", "", "-i");
    private static readonly Option<string?> TokenizerPath =
        Options.CreateWithoutDefault<string?>("--tokenizer", "tokenizer.bin, sentencepiece .model or GGUF file. Default: the GGUF model's own, tokenizer.bin beside the model, else in this folder.", "-z");
    private static readonly Option<string> Mode = Options.Create("--mode", "generate or chat.", "generate", "-m");
    private static readonly Option<string?> SystemPrompt =
        Options.CreateWithoutDefault<string?>("--system_prompt", "What a chat model is told before the conversation.", "-y");
    private static readonly Option<int?> Threads =
        Options.CreateWithoutDefault<int?>("--threads", "Default: the processor's cores, fewer for a small model.", "-j");

    public static Command Create()
    {
        var command = new Command("run", "Tell a story with a trained model, or chat with one.")
        {
            Model, Temperature, TopP, Seed, Steps, Prompt, TokenizerPath, Mode, SystemPrompt, Threads,
        };
        command.SetAction((parsed, cancellation) => Task.FromResult(Run(parsed, cancellation)));
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellation)
    {
        var mode = parsed.GetValue(Mode)!;
        if (mode is not ("generate" or "chat"))
            throw new UsageException($"--mode {mode}: expected generate or chat.");

        using var model = LlamaModel.Open(parsed.GetValue(Model)!);
        var vocabSize = model.Config.VocabSize;
        var tokenizer = new Tokenizer(TokenizerFile.Read(parsed.GetValue(TokenizerPath), model.Path, vocabSize));
        var sampler = new Sampler(vocabSize, Math.Max(0, parsed.GetValue(Temperature)), OrDefault(parsed.GetValue(TopP)), OrTime(parsed.GetValue(Seed)));
        using var transformer = new Transformer(model, new EngineOptions { Threads = parsed.GetValue(Threads) });
        using var output = Console.OpenStandardOutput();

        var prompt = parsed.GetValue(Prompt)!;
        if (mode == "chat")
        {
            using var input = new StreamReader(Console.OpenStandardInput(), Encoding.UTF8);
            new ChatMode(transformer, tokenizer, sampler, input, output).Run(parsed.GetValue(SystemPrompt), prompt, cancellation);
            return 0;
        }
        Generate(new Generator(transformer, tokenizer, sampler), prompt, Math.Max(0, parsed.GetValue(Steps)), output, cancellation);
        return 0;
    }

    private static void Generate(Generator generator, string prompt, int steps, Stream output, CancellationToken cancellation)
    {
        try
        {
            generator.Write(prompt, steps, output.Write, cancellation);
        }
        finally
        {
            output.WriteByte((byte)'\n'); // also after Ctrl-C, so that what follows begins on a line of its own
        }
        if (generator.Statistics.Steps > 1)
            Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"achieved tok/s: {generator.Statistics.TokensPerSecond:F3}"));
    }

    // llama2.c's rules for what is out of range. NaN passes, and the sampler refuses it.
    private static float OrDefault(float topP) => topP is < 0 or > 1 ? DefaultTopP : topP;

    private static ulong OrTime(ulong seed) => seed != 0 ? seed : (ulong)DateTimeOffset.UtcNow.ToUnixTimeSeconds();
}
