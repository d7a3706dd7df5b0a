using System.Text.Json.Serialization;
using LlamaFullstack.Core;
using LlamaFullstack.Data;

namespace LlamaFullstack.Training;

/// <summary>Everything that decides a training run: llama2.c's train.py, name by name and default by default, and what it leaves fixed.</summary>
/// <remarks>
/// A null means "follows from another option", as its comment says. <see cref="TrainingOptions"/> reads values from text; the JSON
/// names are the options' names.
/// </remarks>
public sealed record TrainingConfig
{
    /// <summary>The vocabulary size of Llama 2's own tokenizer.</summary>
    public const int Llama2VocabSize = 32000;

    /// <summary>Folder of everything that the run writes.</summary>
    public string OutDir { get; init; } = "out";

    /// <summary>Updates between evaluations.</summary>
    public int EvalInterval { get; init; } = 2000;

    /// <summary>Updates between log lines.</summary>
    public int LogInterval { get; init; } = 1;

    /// <summary>Batches of each split that an evaluation takes the mean over.</summary>
    public int EvalIters { get; init; } = 100;

    /// <summary>Evaluate once, and do not train.</summary>
    public bool EvalOnly { get; init; }

    /// <summary>Save after every evaluation, not only after the best one so far.</summary>
    public bool AlwaysSaveCheckpoint { get; init; }

    /// <summary>How many of the last checkpoints stay, beside the newest, under their updates' numbers.</summary>
    public int Keep { get; init; }

    /// <summary>"scratch", or "resume" to go on from the checkpoint in <see cref="OutDir"/>.</summary>
    public string InitFrom { get; init; } = "scratch";

    /// <summary>Folder of the datasets.</summary>
    public string DataDir { get; init; } = "data";

    /// <summary>Which dataset.</summary>
    public string Dataset { get; init; } = DataFolder.TinyStories;

    /// <summary>Sequences in a micro-batch.</summary>
    public int BatchSize { get; init; } = 128;

    /// <summary>Tokens in a sequence.</summary>
    public int MaxSeqLen { get; init; } = 256;

    /// <summary>"llama2" or "custom"; null is llama2 for a vocabulary of 32000, else custom.</summary>
    public string? VocabSource { get; init; }

    /// <summary>Number of token ids.</summary>
    public int VocabSize { get; init; } = Llama2VocabSize;

    /// <summary>Width of the residual stream.</summary>
    public int Dim { get; init; } = 288;

    /// <summary>Number of layers.</summary>
    public int NLayers { get; init; } = 6;

    /// <summary>Number of query heads.</summary>
    public int NHeads { get; init; } = 6;

    /// <summary>Number of key and value heads; null is <see cref="NHeads"/>.</summary>
    public int? NKvHeads { get; init; }

    /// <summary>The feed-forward width is rounded up to a multiple of this.</summary>
    public int MultipleOf { get; init; } = 32;

    /// <summary>Feed-forward width; null is 8/3 · dim, rounded up.</summary>
    public int? HiddenDim { get; init; }

    /// <summary>Share of activations set to zero.</summary>
    public double Dropout { get; init; }

    /// <summary>Micro-batches in an update.</summary>
    public int GradientAccumulationSteps { get; init; } = 4;

    /// <summary>The highest learning rate.</summary>
    public double LearningRate { get; init; } = 5e-4;

    /// <summary>Updates in the run.</summary>
    public int MaxIters { get; init; } = 100000;

    /// <summary>AdamW's decay of matrices.</summary>
    public double WeightDecay { get; init; } = 0.1;

    /// <summary>AdamW's memory of gradients.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>AdamW's memory of squared gradients.</summary>
    public double Beta2 { get; init; } = 0.95;

    /// <summary>The longest gradient; 0 does not clip.</summary>
    public double GradClip { get; init; } = 1.0;

    /// <summary>Whether the learning rate warms up and decays at all.</summary>
    public bool DecayLr { get; init; } = true;

    /// <summary>Updates over which the learning rate rises from 0.</summary>
    public int WarmupIters { get; init; } = 1000;

    /// <summary>Update at which the learning rate has fallen to <see cref="MinLr"/>; null is <see cref="MaxIters"/>.</summary>
    public int? LrDecayIters { get; init; }

    /// <summary>The lowest learning rate after warm-up.</summary>
    public double MinLr { get; init; }

    /// <summary>Decides the initial weights, the dropout and the order of the data.</summary>
    public long Seed { get; init; } = 1337;

    /// <summary>"cpu", "cuda" or "cuda:N"; null is cuda where there is one, else cpu.</summary>
    public string? Device { get; init; }

    /// <summary>"float32", "bfloat16" or "float16"; null is bfloat16 on cuda and float32 on cpu.</summary>
    public string? Dtype { get; init; }

    /// <summary>Accepted for llama2.c's sake: there is nothing to compile here.</summary>
    public bool? Compile { get; init; }

    /// <summary>Whether the vocabulary is Llama 2's own.</summary>
    [JsonIgnore]
    public bool UsesLlama2Vocab => VocabSource is null ? VocabSize == Llama2VocabSize : VocabSource == "llama2";

    /// <summary>The vocabulary size in <see cref="DataFolder"/>'s terms, where 0 is Llama 2's own.</summary>
    [JsonIgnore]
    public int DataVocabSize => UsesLlama2Vocab ? 0 : VocabSize;

    /// <summary>Tokens that one update learns from.</summary>
    [JsonIgnore]
    public long TokensPerIteration => (long)GradientAccumulationSteps * BatchSize * MaxSeqLen;

    /// <summary>The micro-batches of each process in an update.</summary>
    /// <param name="processes">How many share them.</param>
    /// <exception cref="ArgumentException">They cannot have as many each.</exception>
    public int MicroBatchesOfEach(int processes) =>
        GradientAccumulationSteps % processes == 0 ? GradientAccumulationSteps / processes : throw new ArgumentException(
            $"--gradient_accumulation_steps {GradientAccumulationSteps}: must be a multiple of the {processes} processes, which share the micro-batches of an update.");

    /// <summary>The model's shape.</summary>
    [JsonIgnore]
    public LlamaConfig Model => new()
    {
        Dim = Dim,
        HiddenDim = HiddenDim ?? LlamaConfig.DefaultHiddenDim(Dim, MultipleOf),
        NLayers = NLayers,
        NHeads = NHeads,
        NKvHeads = NKvHeads ?? NHeads,
        VocabSize = VocabSize,
        MaxSeqLen = MaxSeqLen,
    };

    /// <summary>The learning rate of every update.</summary>
    [JsonIgnore]
    public LearningRateSchedule Schedule => new(DecayLr, LearningRate, MinLr, WarmupIters, LrDecayIters ?? MaxIters);

    /// <summary>The first value that makes the run impossible, as "--name value: must ….", or null.</summary>
    public string? FindProblem()
    {
        return Below("out_dir", OutDir.Length, 1, "must name a folder")
            ?? Below("eval_interval", EvalInterval, 1)
            ?? Below("log_interval", LogInterval, 1)
            ?? Below("eval_iters", EvalIters, 1)
            ?? Below("keep", Keep, 0)
            ?? OneOf("init_from", InitFrom, "scratch", "resume")
            ?? Below("batch_size", BatchSize, 1)
            ?? OneOf("vocab_source", VocabSource ?? "llama2", "llama2", "custom")
            ?? (VocabSource == "llama2" && VocabSize != Llama2VocabSize
                ? $"--vocab_size {VocabSize}: must be {Llama2VocabSize} with --vocab_source llama2, since that is the size of Llama 2's vocabulary." : null)
            ?? Below("multiple_of", MultipleOf, 1)
            ?? Below("dim", Dim, 1)
            ?? (Dim > 1 << 20 ? $"--dim {Dim}: must be at most {1 << 20}." : null)
            ?? ModelProblem(Model.FindProblem())
            ?? ((long)BatchSize * MaxSeqLen > 1 << 28 ? $"--batch_size {BatchSize}: with --max_seq_len {MaxSeqLen} must be at most {1 << 28} tokens." : null)
            ?? Outside("dropout", Dropout, Dropout is >= 0 and < 1, "must be at least 0 and below 1")
            ?? Below("gradient_accumulation_steps", GradientAccumulationSteps, 1)
            ?? Outside("learning_rate", LearningRate, LearningRate > 0 && double.IsFinite(LearningRate), "must be above 0")
            ?? Below("max_iters", MaxIters, 0)
            ?? Outside("weight_decay", WeightDecay, WeightDecay >= 0 && double.IsFinite(WeightDecay), "must not be negative")
            ?? Outside("beta1", Beta1, Beta1 is >= 0 and < 1, "must be at least 0 and below 1")
            ?? Outside("beta2", Beta2, Beta2 is >= 0 and < 1, "must be at least 0 and below 1")
            ?? Outside("grad_clip", GradClip, GradClip >= 0, "must not be negative; 0 does not clip")
            ?? Below("warmup_iters", WarmupIters, 0)
            ?? (LrDecayIters is { } end && end < WarmupIters ? $"--lr_decay_iters {end}: must not lie before the end of the warm-up, --warmup_iters {WarmupIters}." : null)
            ?? Outside("min_lr", MinLr, MinLr >= 0 && MinLr <= LearningRate, $"must lie between 0 and --learning_rate {LearningRate}")
            ?? OneOf("dtype", Dtype ?? "float32", "float32", "bfloat16", "float16");
    }

    private static string? Below(string name, int value, int least, string? must = null) =>
        value < least ? $"--{name} {value}: {must ?? $"must be at least {least}"}." : null;

    private static string? Outside(string name, double value, bool inside, string must) =>
        inside ? null : FormattableString.Invariant($"--{name} {value}: {must}.");

    private static string? OneOf(string name, string value, params string[] known) =>
        known.Contains(value) ? null : $"--{name} {value}: must be {string.Join(" or ", known)}.";

    /// <summary>The shape's problem, "n_heads 7 must divide dim 288", in the words of the command line.</summary>
    private static string? ModelProblem(string? problem)
    {
        if (problem is null)
            return null;
        var words = problem.Split(' ', 3);
        return words[0] == "head" ? $"--n_heads: {problem}." : $"--{words[0]} {words[1]}: {words[2].Replace("divide ", "divide --", StringComparison.Ordinal)}.";
    }
}
