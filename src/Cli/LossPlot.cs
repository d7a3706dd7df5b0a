using LlamaFullstack.Core.Formats;
using LlamaFullstack.Training;
using ScottPlot;

namespace LlamaFullstack.Cli;

/// <summary>The curves of one or more runs as a picture: losses by update, and the learning rate below. Nothing else loads the plotting library.</summary>
internal static class LossPlot
{
    private const int Width = 1000;
    private const int Height = 800;
    private const int LeftMargin = 80; // pixels: room for a rate such as 0.00045
    private const int RightMargin = 30;

    /// <summary>Draws a PNG file.</summary>
    /// <param name="runs">Folders of runs.</param>
    /// <param name="path">The file to create or replace.</param>
    /// <exception cref="IOException">A run has no metrics, or the file cannot be written.</exception>
    public static void Draw(IReadOnlyList<string> runs, string path)
    {
        var picture = new Multiplot();
        picture.AddPlots(2);
        var (losses, rates) = (picture.GetPlot(0), picture.GetPlot(1));
        foreach (var run in runs)
        {
            var metrics = RunMetrics.Read(run);
            var color = losses.Add.Palette.GetColor(losses.PlottableList.Count);
            var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(run)));
            double[] steps = [.. metrics.Steps.Select(step => (double)step.Step)];
            var train = losses.Add.ScatterLine(steps, [.. metrics.Steps.Select(step => step.LossEma)], color);
            train.LegendText = $"{name}: training, running mean";
            var val = losses.Add.Scatter([.. metrics.Evaluations.Select(eval => (double)eval.Step)], (double[])[.. metrics.Evaluations.Select(eval => eval.ValLoss)], color);
            val.LinePattern = LinePattern.Dashed;
            val.LegendText = $"{name}: validation";
            rates.Add.ScatterLine(steps, [.. metrics.Steps.Select(step => step.LearningRate)], color);
        }
        losses.Title("Loss, nats a token");
        losses.ShowLegend(Alignment.UpperRight);
        rates.Title("Learning rate");
        rates.XLabel("update");
        // One update stands above the other: the same limits, between margins that no label widens.
        losses.Axes.AutoScale();
        rates.Axes.AutoScale();
        rates.Axes.SetLimitsX(losses.Axes.GetLimits());
        foreach (var plot in (Plot[])[losses, rates])
        {
            plot.Axes.Left.LockSize(LeftMargin);
            plot.Axes.Right.LockSize(RightMargin);
        }
        using var image = picture.Render(Width, Height);
        AtomicFile.WriteAllBytes(path, image.GetImageBytes(ImageFormat.Png));
    }
}
