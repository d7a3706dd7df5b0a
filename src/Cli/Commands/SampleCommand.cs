using System.CommandLine;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Export;
using LlamaFullstack.Run;
using LlamaFullstack.Training;
using LlamaFullstack.Training.Model;
using LlamaFullstack.Training.Native;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs sample: a checkpoint → text, in torch. The engine (llamafs run) does the same faster.</summary>
internal static class SampleCommand
{
    private const string FilePrefix = "FILE:";

    private sealed record Settings(
        string Checkpoint, string Start, int NumSamples, int MaxNewTokens, double Temperature, int TopK, string Tokenizer, long Seed, string? Device, string Dtype);

    public static Command Create()
    {
        var checkpoint = Options.Create("--checkpoint", "A model of any format: ckpt.safetensors of llamafs train, ckpt.pt of llama2.c, a model file, …", "out/ckpt.safetensors");
        var start = Options.Create("--start", "What the text begins with; FILE:prompt.txt reads it from a file, FILE:/dev/stdin from a pipe.", "");
        var numSamples = Options.Create("--num_samples", "Texts to write.", 1);
        var maxNewTokens = Options.Create("--max_new_tokens", "The most tokens of a text.", 100);
        var temperature = Options.Create("--temperature", "How freely to choose; 0 always takes the likeliest token.", 1.0);
        var topK = Options.Create("--top_k", "Choose among that many of the likeliest tokens; 0 among all.", 300);
        var tokenizer = Options.Create("--tokenizer", "tokenizer.bin, sentencepiece .model, tokenizer.json or GGUF file; else the one that lies with the model, else tokenizer.bin here.", "", "-z");
        var seed = Options.Create("--seed", "Decides what is drawn.", 1337L);
        var device = Options.CreateWithoutDefault<string?>("--device", "cpu, cuda or cuda:N. [default: cuda where there is one, else cpu]");
        var dtype = Options.Create("--dtype", "float32, bfloat16 or float16.", "float32");
        var compile = Options.Create("--compile", "Accepted for llama2.c's sake; there is nothing to compile here.", false);
        var command = new Command("sample", "Write text with a model in torch, as llama2.c's sample.py.")
            { checkpoint, start, numSamples, maxNewTokens, temperature, topK, tokenizer, seed, device, dtype, compile };
        command.SetAction((parsed, cancellation) => Task.FromResult(Sample(new Settings(
            parsed.GetValue(checkpoint)!, parsed.GetValue(start)!, parsed.GetValue(numSamples), parsed.GetValue(maxNewTokens), parsed.GetValue(temperature),
            parsed.GetValue(topK), parsed.GetValue(tokenizer)!, parsed.GetValue(seed), parsed.GetValue(device), parsed.GetValue(dtype)!), cancellation)));
        return command;
    }

    private static int Sample(Settings settings, CancellationToken cancellation)
    {
        if (settings.NumSamples < 1)
            throw new UsageException($"--num_samples {settings.NumSamples}: must be at least 1.");
        if (settings.MaxNewTokens < 0)
            throw new UsageException($"--max_new_tokens {settings.MaxNewTokens}: must not be negative.");
        if (!(settings.Temperature >= 0))
            throw new UsageException($"--temperature {settings.Temperature}: must not be negative.");
        if (settings.TopK < 0)
            throw new UsageException($"--top_k {settings.TopK}: must not be negative; 0 chooses among all tokens.");

        TorchRuntime.Load();
        using var source = ModelSource.Open(settings.Checkpoint);
        if (source.Tensors.Config.ForeignRope is { } foreign)
            throw new InvalidDataException($"{settings.Checkpoint}: has {foreign}, which is not of Llama 2's and not known to torch here. A model file or a GGUF file of it runs with llamafs run.");
        var tokenizer = new Tokenizer(ModelTokenizer.Of(settings.Tokenizer, source).Vocabulary);
        using var model = Transformer.Load(source.Tensors, ModelPlacement.Choose(settings.Device, settings.Dtype));
        var text = settings.Start.StartsWith(FilePrefix, StringComparison.Ordinal) ? InputFile.ReadText(settings.Start[FilePrefix.Length..], cancellation) : settings.Start;
        var prompt = tokenizer.Encode(text, bos: true);
        var sampler = new TextSampler(model, settings.Temperature, settings.TopK, settings.Seed);
        using var output = StandardStreams.OpenOutput();
        for (var sample = 0; sample < settings.NumSamples; sample++)
        {
            if (sample > 0)
                output.Write("---------------\n"u8);
            Write(output, tokenizer, prompt, sampler.Generate(prompt, settings.MaxNewTokens), cancellation);
        }
        return 0;
    }

    /// <summary>Writes the prompt and then each token as it comes.</summary>
    private static void Write(Stream output, Tokenizer tokenizer, int[] prompt, IEnumerable<int> tokens, CancellationToken cancellation)
    {
        var characters = new Utf8Stream();
        var previous = prompt[0];
        foreach (var token in prompt.Skip(1).Concat(tokens))
        {
            cancellation.ThrowIfCancellationRequested();
            output.Write(characters.Push(tokenizer.Decode(previous, token)));
            output.Flush();
            previous = token;
        }
        output.Write(characters.Flush());
        output.Write("\n"u8);
    }
}
