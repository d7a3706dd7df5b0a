using System.Globalization;
using System.Text.Json;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Training;

/// <summary>One option of training: how it is called, what it means and how its value is read.</summary>
/// <param name="Name">As on the command line and in config files, such as "batch_size".</param>
/// <param name="Group">The heading that help lists it under.</param>
/// <param name="Description">What it means, in one line.</param>
/// <param name="Default">The default, for people.</param>
/// <param name="Set">Takes a value over into a configuration; throws <see cref="FormatException"/>, with what was expected, if it cannot be read.</param>
public sealed record TrainingOption(
    string Name, string Group, string Description, string Default, Func<TrainingConfig, string, TrainingConfig> Set);

/// <summary>
/// All options of training, and the ways that they are given: defaults, then a preset, then a config file, then the command line, each
/// overriding what came before.
/// </summary>
public static class TrainingOptions
{
    /// <summary>Every option, in the order that help shows them.</summary>
    public static IReadOnlyList<TrainingOption> All { get; } =
    [
        new("out_dir", "Files", "Folder of everything that the run writes.", "out", (c, v) => c with { OutDir = v }),
        new("init_from", "Files", "scratch, or resume to go on from the checkpoint in out_dir.", "scratch", (c, v) => c with { InitFrom = v }),
        new("always_save_checkpoint", "Files", "Save after every evaluation, not only after the best one so far.", "False", (c, v) => c with { AlwaysSaveCheckpoint = Bool(v) }),
        new("keep", "Files", "The last so many checkpoints also stay, each as ckpt-UPDATE.safetensors.", "0", (c, v) => c with { Keep = Int(v) }),

        new("data_dir", "Data", "Folder of the datasets.", "data", (c, v) => c with { DataDir = v }),
        new("dataset", "Data", "Which dataset, as for data pretokenize: tinystories, tinystories-v2, sample, a path, or the name of one used before.", "tinystories", (c, v) => c with { Dataset = v }),
        new("batch_size", "Data", "Sequences in a micro-batch.", "128", (c, v) => c with { BatchSize = Int(v) }),
        new("max_seq_len", "Data", "Tokens in a sequence.", "256", (c, v) => c with { MaxSeqLen = Int(v) }),
        new("vocab_source", "Data", "llama2 or custom.", "custom if vocab_size is not 32000", (c, v) => c with { VocabSource = v }),
        new("vocab_size", "Data", "Number of token ids.", "32000", (c, v) => c with { VocabSize = Int(v) }),

        new("dim", "Model", "Width of the residual stream.", "288", (c, v) => c with { Dim = Int(v) }),
        new("n_layers", "Model", "Number of layers.", "6", (c, v) => c with { NLayers = Int(v) }),
        new("n_heads", "Model", "Number of query heads.", "6", (c, v) => c with { NHeads = Int(v) }),
        new("n_kv_heads", "Model", "Number of key and value heads.", "n_heads", (c, v) => c with { NKvHeads = Int(v) }),
        new("hidden_dim", "Model", "Feed-forward width.", "8/3 dim, rounded up", (c, v) => c with { HiddenDim = Int(v) }),
        new("multiple_of", "Model", "What hidden_dim is rounded up to a multiple of.", "32", (c, v) => c with { MultipleOf = Int(v) }),
        new("dropout", "Model", "Share of activations set to zero.", "0.0", (c, v) => c with { Dropout = Number(v) }),

        new("max_iters", "Optimizer", "Updates in the run.", "100000", (c, v) => c with { MaxIters = Int(v) }),
        new("gradient_accumulation_steps", "Optimizer", "Micro-batches in an update.", "4", (c, v) => c with { GradientAccumulationSteps = Int(v) }),
        new("learning_rate", "Optimizer", "The highest learning rate.", "5e-4", (c, v) => c with { LearningRate = Number(v) }),
        new("decay_lr", "Optimizer", "Whether the learning rate warms up and decays at all.", "True", (c, v) => c with { DecayLr = Bool(v) }),
        new("warmup_iters", "Optimizer", "Updates over which the learning rate rises from 0.", "1000", (c, v) => c with { WarmupIters = Int(v) }),
        new("lr_decay_iters", "Optimizer", "Update at which min_lr is reached.", "max_iters", (c, v) => c with { LrDecayIters = Int(v) }),
        new("min_lr", "Optimizer", "The lowest learning rate after the warm-up.", "0.0", (c, v) => c with { MinLr = Number(v) }),
        new("weight_decay", "Optimizer", "AdamW's decay of matrices.", "0.1", (c, v) => c with { WeightDecay = Number(v) }),
        new("beta1", "Optimizer", "AdamW's memory of gradients.", "0.9", (c, v) => c with { Beta1 = Number(v) }),
        new("beta2", "Optimizer", "AdamW's memory of squared gradients.", "0.95", (c, v) => c with { Beta2 = Number(v) }),
        new("grad_clip", "Optimizer", "The longest gradient; 0 does not clip.", "1.0", (c, v) => c with { GradClip = Number(v) }),

        new("eval_interval", "Evaluation", "Updates between evaluations.", "2000", (c, v) => c with { EvalInterval = Int(v) }),
        new("eval_iters", "Evaluation", "Batches of each split in an evaluation.", "100", (c, v) => c with { EvalIters = Int(v) }),
        new("eval_only", "Evaluation", "Evaluate once, and do not train.", "False", (c, v) => c with { EvalOnly = Bool(v) }),
        new("log_interval", "Evaluation", "Updates between log lines.", "1", (c, v) => c with { LogInterval = Int(v) }),
        new("wandb_log", "Evaluation", "False alone: out_dir has the run's metrics.jsonl, TensorBoard events and loss.png.", "False",
            (c, v) => Bool(v) ? throw new FormatException("expected False: a run is not sent to wandb; out_dir has its metrics.jsonl, TensorBoard events and loss.png.") : c),
        new("wandb_project", "Evaluation", "Accepted for llama2.c's sake.", "none", (c, _) => c),
        new("wandb_run_name", "Evaluation", "Accepted for llama2.c's sake.", "none", (c, _) => c),

        new("device", "System", "cpu, cuda or cuda:N.", "cuda where there is one, else cpu", (c, v) => c with { Device = v }),
        new("dtype", "System", "float32, bfloat16, or float16 with a loss scale that adapts (for GPUs).", "bfloat16 on cuda, float32 on cpu", (c, v) => c with { Dtype = v }),
        new("compile", "System", "Accepted for llama2.c's sake; there is nothing to compile here.", "False", (c, v) => c with { Compile = Bool(v) }),
        new("seed", "System", "Decides the initial weights, the dropout and the order of the data.", "1337", (c, v) => c with { Seed = Long(v) }),
    ];

    /// <summary>Models of llama2.c's README, and what to train each with.</summary>
    /// <remarks>
    /// quickstart (541,000 parameters, heads wide enough to be quick on a processor) learns the sample stories in a minute on two cores;
    /// 260K is set up for a processor and a few minutes; the others as llama2.c trained them, for a GPU.
    /// </remarks>
    public static IReadOnlyDictionary<string, string> Presets { get; } = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase)
    {
        ["quickstart"] = """
            { "dim": 96, "n_layers": 4, "n_heads": 6, "n_kv_heads": 6, "multiple_of": 16, "vocab_size": 1024, "max_seq_len": 256,
              "batch_size": 4, "gradient_accumulation_steps": 1, "learning_rate": 4e-3, "min_lr": 1e-4, "warmup_iters": 40, "max_iters": 900,
              "eval_interval": 300, "eval_iters": 20, "log_interval": 20 }
            """,
        ["260K"] = """
            { "dim": 64, "n_layers": 5, "n_heads": 8, "n_kv_heads": 4, "multiple_of": 4, "vocab_size": 512, "max_seq_len": 512,
              "batch_size": 2, "gradient_accumulation_steps": 1, "learning_rate": 2e-3, "min_lr": 2e-4, "warmup_iters": 40, "max_iters": 1000,
              "eval_interval": 200, "eval_iters": 20, "log_interval": 10 }
            """,
        ["15M"] = """{ "dim": 288, "n_layers": 6, "n_heads": 6, "n_kv_heads": 6, "max_seq_len": 256 }""",
        ["42M"] = """{ "dim": 512, "n_layers": 8, "n_heads": 8, "n_kv_heads": 8, "max_seq_len": 1024, "batch_size": 32, "dropout": 0.1 }""",
        ["110M"] = """{ "dim": 768, "n_layers": 12, "n_heads": 12, "n_kv_heads": 12, "max_seq_len": 1024, "batch_size": 32, "dropout": 0.1 }""",
    };

    /// <summary>
    /// Puts a configuration together: defaults (for a run that is resumed, its checkpoint's configuration), then a preset, then a config
    /// file, then single values.
    /// </summary>
    /// <param name="preset">One of <see cref="Presets"/>, or null.</param>
    /// <param name="configFile">A JSON file of options, or null.</param>
    /// <param name="values">Option names and values.</param>
    /// <param name="cancellation">Ends the wait where the config file is a pipe that nobody writes into.</param>
    /// <exception cref="ArgumentException">A value is wrong; the message names its option.</exception>
    /// <exception cref="InvalidDataException">The config file or the checkpoint is wrong.</exception>
    /// <exception cref="IOException">The config file or the checkpoint cannot be read.</exception>
    public static TrainingConfig Resolve(string? preset, string? configFile, IReadOnlyCollection<(string Name, string Value)> values, CancellationToken cancellation = default)
    {
        var json = configFile is null ? null : ReadConfig(configFile, cancellation); // once: it may be a pipe
        TrainingConfig Layered(TrainingConfig config)
        {
            if (preset is not null)
                config = config.WithPreset(preset);
            if (json is not null)
                config = config.WithJson(json, configFile!);
            return values.Aggregate(config, (so, value) => so.With(value.Name, value.Value));
        }
        var config = Layered(new TrainingConfig());
        if (config.InitFrom == "resume")
        {
            using var checkpoint = Checkpoint.Open(Path.Combine(config.OutDir, Checkpoint.FileName));
            config = Layered(checkpoint.TrainConfig with { OutDir = config.OutDir });
        }
        return config.FindProblem() is { } problem ? throw new ArgumentException(problem) : config;
    }

    private static string ReadConfig(string path, CancellationToken cancellation)
    {
        try
        {
            return InputFile.ReadText(path, cancellation);
        }
        catch (IOException e)
        {
            throw new IOException($"--config {e.Message}", e);
        }
    }

    /// <summary>Takes over a preset.</summary>
    /// <exception cref="ArgumentException">There is no such preset.</exception>
    public static TrainingConfig WithPreset(this TrainingConfig config, string preset) =>
        Presets.TryGetValue(preset, out var json)
            ? config.WithJson(json, $"--preset {preset}")
            : throw new ArgumentException($"--preset {preset}: must be one of {string.Join(", ", Presets.Keys)}.");

    /// <summary>Takes over the values of a JSON object.</summary>
    /// <param name="config">What is overridden.</param>
    /// <param name="json">Such as <c>{ "dim": 64, "decay_lr": false }</c>.</param>
    /// <param name="where">The file that it comes from; begins the message.</param>
    /// <exception cref="InvalidDataException">It is not a JSON object.</exception>
    /// <exception cref="ArgumentException">It names an unknown option, or a value cannot be read.</exception>
    public static TrainingConfig WithJson(this TrainingConfig config, string json, string where)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new InvalidDataException($"{where}: must be a JSON object of options, such as {{ \"dim\": 288 }}.");
            foreach (var property in document.RootElement.EnumerateObject())
                config = config.With(property.Name, property.Value.ToString());
            return config;
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{where}: not valid JSON in line {e.LineNumber + 1}; expected an object of options, such as {{ \"dim\": 288 }}.", e);
        }
        catch (ArgumentException e)
        {
            throw new ArgumentException($"{where}: {e.Message}", e);
        }
    }

    /// <summary>Takes over one value.</summary>
    /// <exception cref="ArgumentException">There is no such option, or its value cannot be read; the message begins with the option.</exception>
    public static TrainingConfig With(this TrainingConfig config, string name, string value)
    {
        var option = All.FirstOrDefault(option => option.Name == name)
            ?? throw new ArgumentException($"--{name}: no such option.{NearMiss.Hint($"--{name}", All.Select(known => $"--{known.Name}"))}");
        try
        {
            return option.Set(config, value);
        }
        catch (FormatException e)
        {
            throw new ArgumentException($"--{name} {value}: {e.Message}", e);
        }
    }

    private static int Int(string text) =>
        int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value)
            ? value : throw new FormatException("expected a whole number.");

    private static long Long(string text) =>
        long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value)
            ? value : throw new FormatException("expected a whole number.");

    private static double Number(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value)
            ? value : throw new FormatException("expected a finite number.");

    // llama2.c's options are Python literals: True and False.
    private static bool Bool(string text) =>
        bool.TryParse(text, out var value) ? value : throw new FormatException("expected True or False.");
}
