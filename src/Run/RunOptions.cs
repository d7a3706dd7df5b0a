using System.Globalization;
using System.Numerics;
using LlamaFullstack.Core;
using LlamaFullstack.Inference;

namespace LlamaFullstack.Run;

/// <summary>What llamafs run was asked for: llama2.c's flags, with their defaults and its rules for what is out of range.</summary>
/// <remarks>Parsed by hand: a library for command lines takes longer to start than a small model takes to write a sentence.</remarks>
public sealed record RunOptions
{
    /// <summary>What the program does, in one line.</summary>
    public const string Description = "Tell a story with a trained model, or chat with one.";

    private const float DefaultTopP = 0.9f;

    private static readonly Flag[] Flags =
    [
        new("-t", "--temperature", "How freely to choose: 0 always takes the likeliest token, below 0 is 0. [default: 1]",
            (options, value) => options with { Temperature = Math.Max(0, Finite(value)) }),
        new("-p", "--topp", "Choose among the likeliest tokens that exceed this probability together; 0 or 1: among all; outside of these: the default. [default: 0.9]",
            (options, value) => options with { TopP = Finite(value) is >= 0 and <= 1 and var topP ? topP : DefaultTopP }),
        new("-s", "--seed", "The same seed tells the same story; 0: the time. [default: 0]",
            (options, value) => options with { Seed = Whole<ulong>(value) }),
        new("-n", "--steps", "Tokens at most, the prompt's included; 0, or above the model's context: the whole context. Chat has no such limit. [default: 256]",
            (options, value) => options with { Steps = Math.Max(0, Whole<int>(value)) }),
        new("-i", "--prompt", "Text to continue; in chat, the first thing to say.", (options, value) => options with { Prompt = value }),
        new("-z", "--tokenizer", "tokenizer.bin, sentencepiece .model or GGUF file. [default: a GGUF model's own, tokenizer.bin beside the model, else in this folder]",
            (options, value) => options with { Tokenizer = value }),
        new("-m", "--mode", "generate or chat. [default: generate]",
            (options, value) => options with { Chat = value == "chat" || (value == "generate" ? false : throw new FormatException("generate or chat")) }),
        new("-y", "--system_prompt", "What a chat model is told before the conversation.", (options, value) => options with { SystemPrompt = value }),
        new("-j", "--threads", "Threads to run on. [default: the processor's cores, fewer for a small model]",
            (options, value) => options with
            {
                Threads = Whole<int>(value) is >= 1 and <= EngineOptions.MaxThreads and var threads ? threads : throw new FormatException($"1 to {EngineOptions.MaxThreads}"),
            }),
        new("-a", "--arithmetic", "fast, or strict: the very bits of llama2.c without -Ofast, slow with float32 weights. [default: fast]",
            (options, value) => options with { Strict = value == "strict" || (value == "fast" ? false : throw new FormatException("fast or strict")) }),
    ];

    /// <summary>The model file.</summary>
    public string Model { get; private init; } = "";

    /// <summary>0 or more.</summary>
    public float Temperature { get; private init; } = 1;

    /// <summary>0 to 1.</summary>
    public float TopP { get; private init; } = DefaultTopP;

    /// <summary>0 for the time.</summary>
    public ulong Seed { get; private init; }

    /// <summary>0 for the whole context.</summary>
    public int Steps { get; private init; } = 256;

    /// <summary>May be empty.</summary>
    public string Prompt { get; private init; } = "";

    /// <summary>Null to look for one.</summary>
    public string? Tokenizer { get; private init; }

    /// <summary>Whether to chat.</summary>
    public bool Chat { get; private init; }

    /// <summary>Null to ask for one.</summary>
    public string? SystemPrompt { get; private init; }

    /// <summary>Null for the engine's choice.</summary>
    public int? Threads { get; private init; }

    /// <summary>Whether to compute as llama2.c does, bit for bit.</summary>
    public bool Strict { get; private init; }

    /// <summary>Whether the help was asked for.</summary>
    public bool Help { get; private init; }

    /// <summary>Reads a command line: the model, and flags as "-t 0.5", "--temperature 0.5" or "--temperature=0.5". Of two, the later counts.</summary>
    /// <exception cref="UsageException">A flag is unknown, lacks its value or has a wrong one; or there is no model.</exception>
    public static RunOptions Parse(IReadOnlyList<string> words)
    {
        var options = new RunOptions();
        var flagsHaveEnded = false; // at --, as everywhere
        for (var i = 0; i < words.Count; i++)
        {
            var word = words[i];
            if (!flagsHaveEnded && word is "-h" or "-?" or "--help")
                return options with { Help = true };
            if (!flagsHaveEnded && word == "--")
            {
                flagsHaveEnded = true;
                continue;
            }
            if (flagsHaveEnded || !word.StartsWith('-') || word.Length == 1)
            {
                options = options.Model == "" ? options with { Model = word }
                    : throw new UsageException($"{word}: not known here; the model is {options.Model}.");
                continue;
            }
            var equals = word.IndexOf('=');
            var name = equals < 0 ? word : word[..equals];
            var flag = Find(name) ?? throw new UsageException($"{name}: not known here.{NearMiss.Hint(name, Flags.Select(known => known.Name))}");
            if (equals < 0 && ++i == words.Count)
                throw new UsageException($"{name}: needs a value after it.");
            var value = equals < 0 ? words[i] : word[(equals + 1)..];
            try
            {
                options = flag.Set(options, value);
            }
            catch (FormatException expected)
            {
                throw new UsageException($"{flag.Name} {value}: expected {expected.Message}.");
            }
        }
        return options.Model != "" ? options : throw new UsageException("no model: name its file, such as out/model.bin.");
    }

    /// <summary>All flags, for people.</summary>
    /// <param name="program">How the program is called.</param>
    public static HelpPage HelpOf(string program)
    {
        var page = new HelpPage(Description, $"{program} MODEL [options]");
        page.Add(null, [("MODEL", "A model file of llama2.c's or llamafs's, such as out/model.bin, or a GGUF file of a Llama model; in llamafs also the name of one that llamafs pull has brought, such as stories15M.")]);
        page.Add("Options", Flags.Select(flag => ($"{flag.Letter}, {flag.Name}", flag.Description)));
        return page;
    }

    private static Flag? Find(string name)
    {
        var snake = name.StartsWith("--", StringComparison.Ordinal) ? "--" + name[2..].Replace('-', '_') : name;
        return Array.Find(Flags, flag => flag.Letter == snake || flag.Name == snake);
    }

    private static float Finite(string text) =>
        float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && float.IsFinite(value) ? value : throw new FormatException("a number");

    private static T Whole<T>(string text) where T : IBinaryInteger<T>, IMinMaxValue<T> =>
        T.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value
            : throw new FormatException($"a whole number between {T.MinValue} and {T.MaxValue}");

    /// <summary>A flag. Its parser throws <see cref="FormatException"/> with what was expected.</summary>
    private sealed record Flag(string Letter, string Name, string Description, Func<RunOptions, string, RunOptions> Set);
}
