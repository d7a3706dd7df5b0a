using System.Diagnostics;
using System.Globalization;
using LlamaFullstack.Run;
using LlamaFullstack.Training;
using LlamaFullstack.Training.Distributed;

namespace LlamaFullstack.Cli;

/// <summary>A training run on stdout: on a terminal one status line that is redrawn, with what is rarer above it; elsewhere llama2.c's plain lines. loss.png is drawn anew at each evaluation.</summary>
internal sealed class TrainingDisplay(string outDir, int maxIters, bool drawsLosses) : IProgress<TrainingEvent>, IDisposable
{
    // mpirun gives each rank a terminal of its own and passes on what comes out, to wherever it writes itself.
    private readonly StatusLine? _line = !ProcessGroup.IsLaunched && StatusLine.FitsOn(Console.IsOutputRedirected) ? new StatusLine(Console.Out) : null;
    private readonly Stopwatch _clock = new();
    private long _firstIteration;

    public void Report(TrainingEvent value)
    {
        if (_line is null || value is not StepEvent step)
        {
            Dispose();
            Console.Out.WriteLine(TextColumns.Printable(value.ToString()));
            if (drawsLosses && value is EvalEvent { Iteration: > 0 })
                DrawLosses(Path.Combine(outDir, "loss.png"));
            return;
        }
        if (!_clock.IsRunning)
        {
            _clock.Start();
            _firstIteration = step.Iteration;
        }
        _line.Draw(Status(step));
    }

    /// <summary>Ends the status line, so that what follows begins on its own.</summary>
    public void Dispose() => _line?.End();

    /// <summary>A picture is not worth a run: where none can be drawn, for whatever reason, training goes on.</summary>
    private void DrawLosses(string path)
    {
        try
        {
            LossPlot.Draw([outDir], path);
        }
        catch (Exception e)
        {
            ExitCode.Say($"note: {path} is not drawn: {e.Message}");
        }
    }

    private string Status(StepEvent step)
    {
        var mfu = step.Mfu < 0 ? "" : $" | mfu {step.Mfu * 100:F1}%";
        var made = step.Iteration - _firstIteration;
        var left = made < 1 ? "" : $" | {StatusLine.Duration(_clock.Elapsed * ((double)(maxIters - step.Iteration) / made))} left";
        return string.Create(CultureInfo.InvariantCulture,
            $"{step.Iteration}/{maxIters} | loss {step.Loss:F4} | ema {step.LossEma:F4} | lr {step.LearningRate:0.00e+00} | {step.TokensPerSecond:N0} tok/s{mfu}{left}");
    }
}
