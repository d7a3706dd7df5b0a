using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Inference;
using LlamaFullstack.Inference.Benchmarks;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs bench: how fast a model file, or random weights of a known shape, run on this machine.</summary>
internal static partial class BenchCommand
{
    private static readonly Dictionary<string, int> Versions = new() { ["fp32"] = 0, ["int8"] = 2, ["int4"] = 3 };
    private static readonly BenchmarkSettings Defaults = new();

    private static readonly Argument<string?> Model =
        new("model") { Description = "Model file to measure.", Arity = ArgumentArity.ZeroOrOne };
    private static readonly Option<string?> Shape = Options.CreateWithoutDefault<string?>("--shape",
        $"Random weights of a known shape, instead of a model: {string.Join(", ", ModelShapes.ByName.Keys)}.");
    private static readonly Option<string> Type = Options.Create("--type", $"With --shape, the weights' type: {string.Join(", ", Versions.Keys)}.", "fp32");
    private static readonly Option<int> Seed = Options.Create("--seed", "With --shape: the same seed gives the same weights.", 1);
    private static readonly Option<string?> Keep = Options.CreateWithoutDefault<string?>("--keep",
        "With --shape: write the model here and keep it, to measure other programs with it.");
    private static readonly Option<string?> Threads = Options.CreateWithoutDefault<string?>("--threads",
        "Measure with each of these numbers of threads, such as 1,2,4. [default: what run chooses]", "-j");
    private static readonly Option<int?> Prompt = Options.CreateWithoutDefault<int?>("--prompt",
        $"Tokens of the prompt. [default: {BenchmarkSettings.DefaultPromptTokens}, or the model's context where that is shorter]").Where(count => count >= 1, "1 or more");
    private static readonly Option<int?> Tokens = Options.CreateWithoutDefault<int?>("--tokens",
        $"Tokens to decode in a round. [default: {BenchmarkSettings.DefaultDecodeTokens}, or the rest of the model's context where that is shorter]", "-n").Where(count => count >= 1, "1 or more");
    private static readonly Option<int> Position = Options.Create("--position", "Where decoding begins, to measure a long context.", Defaults.Position).Where(position => position >= 0, "0 or more");
    private static readonly Option<int> Repeats = Options.Create("--repeats", "Rounds; their median is shown.", Defaults.Repeats, "-r").Where(count => count >= 1, "1 or more");
    private static readonly Option<string> Arithmetic = Options.Create("--arithmetic", "fast, or strict for llama2.c's very bits.", "fast", "-a");
    private static readonly Option<bool> Json = new("--json") { Description = "One line of JSON for each number of threads, instead of a card." };

    public static Command Create()
    {
        var command = new Command("bench", "Measure prompt and decoding speed, and how near they come to the processor's and the memory's limit.")
        {
            Model, Shape, Type, Seed, Keep, Threads, Prompt, Tokens, Position, Repeats, Arithmetic, Json,
        };
        command.SetAction((parsed, cancellation) => Task.FromResult(Run(parsed, cancellation)));
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellation)
    {
        var (path, shape) = (parsed.GetValue(Model), parsed.GetValue(Shape));
        if (path is null && shape is null)
            throw new UsageException("give a model file, or --shape for random weights. See llamafs bench --help.");
        if (path is not null && new Option[] { Shape, Type, Seed, Keep }.FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } foreign)
            throw new UsageException($"{foreign.Name}: is for random weights, but {path} is a model file. Leave one of them out.");
        var threads = ThreadCounts(parsed.GetValue(Threads));
        var settings = new BenchmarkSettings
        {
            PromptTokens = parsed.GetValue(Prompt),
            DecodeTokens = parsed.GetValue(Tokens),
            Position = parsed.GetValue(Position),
            Repeats = parsed.GetValue(Repeats),
            Strict = parsed.GetValue(Arithmetic) switch
            {
                "fast" => false,
                "strict" => true,
                var other => throw new UsageException($"--arithmetic {other}: expected fast or strict."),
            },
        };
        if (path is not null)
        {
            Measure(path, path, threads, settings, parsed.GetValue(Json), cancellation);
            return 0;
        }

        var keep = parsed.GetValue(Keep);
        var temporary = keep is null ? Directory.CreateTempSubdirectory("llamafs-bench-") : null;
        try
        {
            var file = keep ?? Path.Combine(temporary!.FullName, "model.bin");
            WriteRandomModel(file, shape!, parsed.GetValue(Type)!, parsed.GetValue(Seed), cancellation);
            Measure(file, $"{shape} of random weights", threads, settings, parsed.GetValue(Json), cancellation);
        }
        finally
        {
            temporary?.Delete(recursive: true);
        }
        return 0;
    }

    private static void WriteRandomModel(string path, string shape, string type, int seed, CancellationToken cancellation)
    {
        if (!ModelShapes.ByName.TryGetValue(shape, out var config))
            throw new UsageException($"--shape {shape}: expected one of {string.Join(", ", ModelShapes.ByName.Keys)}.");
        if (!Versions.TryGetValue(type, out var version))
            throw new UsageException($"--type {type}: expected one of {string.Join(", ", Versions.Keys)}.");
        ModelBinWriter.Write(path, new RandomWeights(config, seed), version, cancellation: cancellation);
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive); // the writer's buffers would count as the engine's memory
    }

    private static void Measure(string path, string name, int?[] threads, BenchmarkSettings settings, bool json, CancellationToken cancellation)
    {
        using var model = ModelFile.Open(path);
        foreach (var count in threads)
        {
            var result = Benchmark.Run(model, settings with { Threads = count }, cancellation);
            Console.Out.WriteLine(json ? JsonSerializer.Serialize(new(name, model.Config, result), BenchJsonContext.Default.Report) : Card(name, model.Config, result));
        }
    }

    private static int?[] ThreadCounts(string? text)
    {
        if (text is null)
            return [null];
        return [.. text.Split(',').Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count is >= 1 and <= EngineOptions.MaxThreads
            ? (int?)count
            : throw new UsageException($"--threads {text}: expected numbers between 1 and {EngineOptions.MaxThreads}, such as 1,2,4."))];
    }

    private static string Card(string name, LlamaConfig c, BenchmarkResult r)
    {
        FormattableString card = $"""
            {name}: dim {c.Dim}, {c.NLayers} layers, {c.NHeads} heads ({c.NKvHeads} kv), vocabulary {c.VocabSize}, {r.WeightType}, {c.ParameterCount / 1e6:0.##} M weights
              threads    {r.Threads,10}            kernels {r.Kernels}
              prompt     {r.PromptTokensPerSecond,10:N0} tok/s      {r.PromptTokens} tokens
              arithmetic {r.PromptMultiplyAddsPerSecond / 1e9,10:N1} G/s        multiply-adds of the prompt; {r.PeakMultiplyAddsPerSecond / 1e9:N1} in float32 are the peak, {r.ShareOfPeak:P0} of it
              decode     {r.DecodeTokensPerSecond,10:N1} tok/s      {r.DecodeMilliseconds:0.000} ms a token, {r.DecodeTokens} tokens from position {r.Position} on
              weights    {r.WeightBytesPerSecond / 1e9,10:N1} GB/s       {r.WeightBytesPerToken / 1e6:N1} MB a token
              memory     {r.ReadBytesPerSecond / 1e9,10:N1} GB/s       read by as many threads; decoding reaches {r.ShareOfBandwidth:P0} of it
              resident   {r.ResidentBytes / 1e6,10:N1} MB         {(r.Repeats == 1 ? "one round" : $"medians of {r.Repeats} rounds")}, {RuntimeInformation.ProcessArchitecture}, .NET {Environment.Version}
            """;
        return card.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>What --json prints.</summary>
    internal sealed record Report(string Model, LlamaConfig Config, BenchmarkResult Result);

    [JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
    [JsonSerializable(typeof(Report))]
    internal sealed partial class BenchJsonContext : JsonSerializerContext;
}
