using System.Globalization;
using System.Text.Json;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Training.Model;
using static TorchSharp.torch;

namespace LlamaFullstack.Training;

/// <summary>How far a run has come: what it takes, beside weights and moments, to go on as if it had never stopped.</summary>
/// <param name="Iteration">Number of updates made.</param>
/// <param name="BestValLoss">The lowest validation loss so far.</param>
/// <param name="LossEma">The running mean of the training losses; NaN before the first.</param>
/// <param name="DataPosition">Where the batch loader stands.</param>
/// <param name="Seed">
/// With <paramref name="Iteration"/>, the whole state of the random numbers: torch's generator is seeded from the two before each update.
/// </param>
/// <param name="LossScale">Of a run in float16; null of others.</param>
public sealed record TrainingState(long Iteration, double BestValLoss, double LossEma, long DataPosition, long Seed, LossScale? LossScale = null);

/// <summary>
/// A run's checkpoint: one safetensors file with the weights under the names of <see cref="TensorNames"/>, AdamW's moments under
/// optimizer.exp_avg.NAME and optimizer.exp_avg_sq.NAME, and in its metadata everything else. Replaced atomically.
/// </summary>
public sealed class Checkpoint : ITensorSource, IDisposable
{
    /// <summary>The file's name in a run's folder.</summary>
    public const string FileName = "ckpt.safetensors";

    private const string Format = "llamafs-checkpoint-1";
    private const long PartLength = 1 << 26; // values: 256 MB
    private const string MeanPrefix = "optimizer.exp_avg.";
    private const string SquarePrefix = "optimizer.exp_avg_sq.";
    private readonly SafetensorsFile _file;

    private Checkpoint(SafetensorsFile file)
    {
        _file = file;
        var format = Metadata("format");
        if (format != Format)
            throw new InvalidDataException($"{file.Path}: has the format {format}, expected {Format}. Was it written by another version?");
        Config = FromJson(Metadata("model_args"), CoreJsonContext.Default.LlamaConfig).Validated($"{file.Path}: model_args");
        TrainConfig = FromJson(Metadata("train_config"), TrainingJsonContext.Default.TrainingConfig);
        State = new TrainingState(
            Number<long>("iter_num"), Number<double>("best_val_loss"), file.Metadata.ContainsKey("loss_ema") ? Number<double>("loss_ema") : double.NaN, Number<long>("data_position"), Number<long>("seed"),
            file.Metadata.ContainsKey("loss_scale") ? new LossScale(Number<double>("loss_scale"), Number<int>("loss_scale_updates")) : null);
        if (State.Iteration < 0 || State.DataPosition < 0)
            throw new InvalidDataException($"{file.Path}: iter_num {State.Iteration} and data_position {State.DataPosition} must not be negative.");
    }

    /// <inheritdoc/>
    public LlamaConfig Config { get; }

    /// <inheritdoc/>
    public bool SharedClassifier => true;

    /// <summary>The configuration of the run that wrote it.</summary>
    public TrainingConfig TrainConfig { get; }

    /// <summary>How far that run had come.</summary>
    public TrainingState State { get; }

    /// <summary>Writes a checkpoint. Until it lies on the disk whole, the one before stays.</summary>
    /// <exception cref="IOException">The disk is full, or the folder cannot be written.</exception>
    public static void Save(string path, Transformer model, AdamW optimizer, TrainingConfig config, TrainingState state)
    {
        var metadata = new Dictionary<string, string>
        {
            ["format"] = Format,
            ["model_args"] = JsonSerializer.Serialize(model.Config, CoreJsonContext.Default.LlamaConfig),
            ["train_config"] = JsonSerializer.Serialize(config, TrainingJsonContext.Default.TrainingConfig),
            ["iter_num"] = state.Iteration.ToString(CultureInfo.InvariantCulture),
            ["best_val_loss"] = state.BestValLoss.ToString("R", CultureInfo.InvariantCulture),
            ["loss_ema"] = state.LossEma.ToString("R", CultureInfo.InvariantCulture),
            ["data_position"] = state.DataPosition.ToString(CultureInfo.InvariantCulture),
            ["seed"] = state.Seed.ToString(CultureInfo.InvariantCulture),
            ["optimizer_steps"] = optimizer.Steps.ToString(CultureInfo.InvariantCulture), // in float16 some updates are left out
        };
        if (state.LossScale is { } scale)
        {
            metadata["loss_scale"] = scale.Value.ToString("R", CultureInfo.InvariantCulture);
            metadata["loss_scale_updates"] = scale.Updates.ToString(CultureInfo.InvariantCulture);
        }
        var tensors = new Dictionary<string, Tensor>();
        foreach (var tensor in TensorNames.All(model.Config, sharedClassifier: true))
            tensors.Add(tensor.Name, model.Parameters[tensor.Name]);
        foreach (var (name, mean, square) in optimizer.Moments)
        {
            tensors.Add(MeanPrefix + name, mean);
            tensors.Add(SquarePrefix + name, square);
        }
        SafetensorsWriter.Write(path, metadata,
            [.. tensors.Select(entry => SafetensorsEntry.Create(entry.Key, "F32", entry.Value.shape))],
            (entry, stream) => Write(tensors[entry.Name], stream));
    }

    /// <summary>Opens a checkpoint and checks that it is one.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">It is no checkpoint, or it is damaged.</exception>
    public static Checkpoint Open(string path)
    {
        if (!InputFile.Exists(path))
            throw new FileNotFoundException($"{path}: no such checkpoint. llamafs train writes one when it evaluates, ends or is interrupted.");
        var file = SafetensorsFile.Open(path);
        try
        {
            return new Checkpoint(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Read(string name, long start, Span<float> destination) => _file.ReadFloats(name, start, destination);

    /// <summary>Gives an optimizer the moments and the count of updates.</summary>
    /// <exception cref="InvalidDataException">A moment is missing or has another shape.</exception>
    public void Restore(AdamW optimizer)
    {
        foreach (var (name, mean, square) in optimizer.Moments)
        {
            Copy(MeanPrefix + name, mean);
            Copy(SquarePrefix + name, square);
        }
        optimizer.Steps = _file.Metadata.ContainsKey("optimizer_steps") ? Number<long>("optimizer_steps") : State.Iteration;
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>A tensor's values, in parts: a span holds at most 2 GB.</summary>
    private static void Write(Tensor tensor, Stream stream)
    {
        using var values = tensor.detach();
        using var flat = values.view(-1);
        for (var start = 0L; start < flat.numel(); start += PartLength)
        {
            using var part = flat.narrow(0, start, Math.Min(PartLength, flat.numel() - start));
            using var here = part.cpu();
            using var own = here.contiguous();
            stream.Write(own.bytes);
        }
    }

    private void Copy(string name, Tensor destination)
    {
        var values = new float[destination.numel()];
        _file.ReadFloats(name, values);
        using var copy = from_array(values);
        using var shaped = copy.view(destination.shape);
        destination.copy_(shaped);
    }

    private string Metadata(string key) =>
        _file.Metadata.TryGetValue(key, out var value)
            ? value : throw new InvalidDataException($"{_file.Path}: lacks {key} in its metadata, so it is no checkpoint of llamafs train.");

    private T Number<T>(string key) where T : IParsable<T> =>
        T.TryParse(Metadata(key), CultureInfo.InvariantCulture, out var value)
            ? value : throw new InvalidDataException($"{_file.Path}: {key} in its metadata is not a number: {Metadata(key)}.");

    private T FromJson<T>(string json, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(json, type) ?? throw new JsonException("it is null");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{_file.Path}: its metadata cannot be read: {e.Message}", e);
        }
    }
}
