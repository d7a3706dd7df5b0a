using System.Globalization;
using System.Text;
using System.Text.Json;
using LlamaFullstack.Core.Formats;
using TorchSharp;
using TorchSharp.Modules;

namespace LlamaFullstack.Training;

/// <summary>
/// Writes down what happens in a run, for people and for other programs: metrics.jsonl (a line for each logged update and each
/// evaluation), samples.txt, and events for TensorBoard. Then passes it on.
/// </summary>
internal sealed class RunRecord : IProgress<TrainingEvent>
{
    /// <summary>The name of the file of samples in a run's folder.</summary>
    public const string SamplesName = "samples.txt";

    /// <summary>The name of the folder of TensorBoard's events in a run's folder.</summary>
    public const string TensorBoardName = "tensorboard";

    private const string SampleMark = "--- "; // and the update, on the line before the text
    private readonly string _folder;
    private readonly string _metrics;
    private readonly string _samples;
    private readonly bool _isResumed;
    private readonly IProgress<TrainingEvent>? _next;
    private SummaryWriter? _tensorBoard;
    private bool _begun;

    /// <param name="config">The run; a run that begins anew begins its record anew, one that is resumed goes on with it.</param>
    /// <param name="next">Told of every event too.</param>
    public RunRecord(TrainingConfig config, IProgress<TrainingEvent>? next)
    {
        _folder = config.OutDir;
        _metrics = Path.Combine(config.OutDir, RunMetrics.FileName);
        _samples = Path.Combine(config.OutDir, SamplesName);
        _isResumed = config.InitFrom == "resume";
        _next = next;
    }

    /// <inheritdoc/>
    public void Report(TrainingEvent value)
    {
        switch (value)
        {
            case StepEvent step:
                Begin(step.Iteration);
                Append(json =>
                {
                    json.WriteNumber("step", step.Iteration);
                    json.WriteNumber("loss", Math.Round(step.Loss, 6));
                    json.WriteNumber("loss_ema", Math.Round(step.LossEma, 6));
                    json.WriteNumber("lr", step.LearningRate);
                    json.WriteNumber("ms", Math.Round(step.Elapsed.TotalMilliseconds, 2));
                    json.WriteNumber("tokens_per_second", Math.Round(step.TokensPerSecond));
                });
                Chart("train/loss", step.Loss, step.Iteration);
                Chart("train/lr", step.LearningRate, step.Iteration);
                Chart("train/tokens_per_second", step.TokensPerSecond, step.Iteration);
                break;
            case EvalEvent { TrainLoss: var train, ValLoss: var val } eval when double.IsFinite(train) && double.IsFinite(val):
                Begin(eval.Iteration);
                Append(json =>
                {
                    json.WriteNumber("step", eval.Iteration);
                    json.WriteNumber("train_loss", Math.Round(train, 6));
                    json.WriteNumber("val_loss", Math.Round(val, 6));
                    json.WriteNumber("resident_mb", Math.Round(eval.ResidentBytes / 1e6, 1));
                    json.WriteNumber("managed_mb", Math.Round(eval.ManagedBytes / 1e6, 1));
                });
                Chart("eval/train_loss", train, eval.Iteration);
                Chart("eval/val_loss", val, eval.Iteration);
                break;
            case SampleEvent sample:
                File.AppendAllText(_samples, $"{SampleMark}{sample.Iteration}\n{sample.Text}\n");
                break;
        }
        _next?.Report(value);
    }

    /// <summary>Opens the record. Of a run that is resumed, what was written after the checkpoint is dropped: it comes again.</summary>
    private void Begin(long iteration)
    {
        if (_begun)
            return;
        _begun = true;
        Directory.CreateDirectory(_folder);
        if (!_isResumed)
        {
            File.Delete(_metrics);
            File.Delete(_samples);
        }
        else
        {
            Cut(_metrics, lines => lines.Where(line => StepOf(line) < iteration));
            Cut(_samples, lines => lines.TakeWhile(line => SampleOf(line) is not { } made || made < iteration));
        }
        _tensorBoard = torch.utils.tensorboard.SummaryWriter(Path.Combine(_folder, TensorBoardName), createRunName: false);
    }

    private static void Cut(string path, Func<IEnumerable<string>, IEnumerable<string>> choose)
    {
        if (File.Exists(path))
            AtomicFile.WriteAllText(path, string.Concat(choose(File.ReadAllLines(path)).Select(line => line + "\n")));
    }

    private void Append(Action<Utf8JsonWriter> write)
    {
        using var line = new MemoryStream();
        using (var json = new Utf8JsonWriter(line))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }
        File.AppendAllText(_metrics, Encoding.UTF8.GetString(line.ToArray()) + "\n");
    }

    private void Chart(string name, double value, long iteration) => _tensorBoard!.add_scalar(name, (float)value, (int)iteration);

    // A line that a crash cut short has no number, and goes.
    private static long StepOf(string line) =>
        line.StartsWith("{\"step\":", StringComparison.Ordinal) && line.EndsWith('}')
        && long.TryParse(line.AsSpan(8, Math.Max(0, line.IndexOf(',') - 8)), NumberStyles.None, CultureInfo.InvariantCulture, out var step) ? step : long.MaxValue;

    private static long? SampleOf(string line) =>
        line.StartsWith(SampleMark, StringComparison.Ordinal)
        && long.TryParse(line.AsSpan(SampleMark.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var made) ? made : null;
}
