using System.Diagnostics;
using System.Globalization;
using LlamaFullstack.Training;
using LlamaFullstack.Training.Distributed;

namespace LlamaFullstack.Cli;

/// <summary>A training run on stdout: on a terminal one status line that is redrawn, with what is rarer above it; elsewhere llama2.c's plain lines. loss.png is drawn anew at each evaluation.</summary>
internal sealed class TrainingDisplay(string outDir, int maxIters, bool drawsLosses) : IProgress<TrainingEvent>, IDisposable
{
    // mpirun gives each rank a terminal of its own and passes on what comes out, to wherever it writes itself.
    private readonly bool _isTerminal = !ProcessGroup.IsLaunched && !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") != "dumb";
    private readonly Stopwatch _clock = new();
    private long _firstIteration;
    private int _shown;

    public void Report(TrainingEvent value)
    {
        if (!_isTerminal || value is not StepEvent step)
        {
            Dispose();
            Console.Out.WriteLine(value);
            if (drawsLosses && value is EvalEvent { Iteration: > 0 })
                DrawLosses(Path.Combine(outDir, "loss.png"));
            return;
        }
        if (!_clock.IsRunning)
        {
            _clock.Start();
            _firstIteration = step.Iteration;
        }
        var line = Status(step);
        Console.Out.Write("\r" + line.PadRight(_shown));
        _shown = line.Length;
    }

    /// <summary>Ends the status line, so that what follows begins on its own.</summary>
    public void Dispose()
    {
        if (_shown > 0)
            Console.Out.WriteLine();
        _shown = 0;
    }

    /// <summary>A picture is not worth a run: where none can be drawn, for whatever reason, training goes on.</summary>
    private void DrawLosses(string path)
    {
        try
        {
            LossPlot.Draw([outDir], path);
        }
        catch (Exception e)
        {
            Console.Error.WriteLine($"note: {path} is not drawn: {e.Message.ReplaceLineEndings(" ")}");
        }
    }

    private string Status(StepEvent step)
    {
        var mfu = step.Mfu < 0 ? "" : $" | mfu {step.Mfu * 100:F1}%";
        var made = step.Iteration - _firstIteration;
        var left = made < 1 ? "" : $" | {Duration(_clock.Elapsed * ((double)(maxIters - step.Iteration) / made))} left";
        return string.Create(CultureInfo.InvariantCulture,
            $"{step.Iteration}/{maxIters} | loss {step.Loss:F4} | ema {step.LossEma:F4} | lr {step.LearningRate:0.00e+00} | {step.TokensPerSecond:N0} tok/s{mfu}{left}");
    }

    private static string Duration(TimeSpan time) =>
        time.TotalHours >= 1 ? $"{(int)time.TotalHours} h {time.Minutes} min" : time.TotalMinutes >= 1 ? $"{time.Minutes} min {time.Seconds} s" : $"{time.Seconds} s";
}
