using System.Text.Json;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Training;

/// <summary>The curves of a run, as its metrics.jsonl holds them.</summary>
/// <param name="Steps">Update, loss, running mean of the loss, and learning rate of each logged update.</param>
/// <param name="Evaluations">Update and validation loss of each evaluation.</param>
public sealed record RunMetrics(
    IReadOnlyList<(long Step, double Loss, double LossEma, double LearningRate)> Steps, IReadOnlyList<(long Step, double ValLoss)> Evaluations)
{
    /// <summary>The file's name in a run's folder.</summary>
    public const string FileName = "metrics.jsonl";

    /// <summary>Reads the metrics of a run's folder. A last line that a crash cut short is passed over.</summary>
    /// <exception cref="IOException">There are none.</exception>
    /// <exception cref="InvalidDataException">A line is damaged.</exception>
    public static RunMetrics Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!InputFile.Exists(path))
            throw new FileNotFoundException($"{path}: no such file. {folder} is not the folder of a run of llamafs train, or that run has logged nothing yet.");
        var steps = new List<(long, double, double, double)>();
        var evaluations = new List<(long, double)>();
        foreach (var line in File.ReadLines(path).Where(line => line.EndsWith('}')))
        {
            try
            {
                using var json = JsonDocument.Parse(line);
                var step = json.RootElement.GetProperty("step").GetInt64();
                if (json.RootElement.TryGetProperty("val_loss", out var loss))
                    evaluations.Add((step, loss.GetDouble()));
                else
                    steps.Add((step, Number("loss"), Number("loss_ema"), Number("lr")));
                double Number(string name) => json.RootElement.GetProperty(name).GetDouble();
            }
            catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                throw new InvalidDataException($"{path}: a line is not a run's metric: {PlainText.Quote(line)}", e);
            }
        }
        return new RunMetrics(steps, evaluations);
    }
}
