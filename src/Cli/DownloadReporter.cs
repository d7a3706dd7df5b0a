using System.Diagnostics;
using LlamaFullstack.Data.Downloading;

namespace LlamaFullstack.Cli;

/// <summary>Shows a download: a bar for each stage, and a line for each pause.</summary>
internal sealed class DownloadReporter : IProgress<DownloadProgress>, IDisposable
{
    private readonly Stopwatch _clock = new();
    private ProgressBar? _bar;
    private string _stage = "";
    private long _first;

    public void Report(DownloadProgress value)
    {
        if (value.Note is not null)
        {
            Dispose();
            Console.Error.WriteLine(value.Note);
            _stage = "";
            return;
        }
        if (value.Stage != _stage)
            Begin(value);
        var rate = (value.Done - _first) / 1e6 / Math.Max(1e-3, _clock.Elapsed.TotalSeconds);
        _bar!.Report(value.Done, value.Total, $"{value.Done / 1e6:0.0} of {value.Total / 1e6:0.0} MB, {rate:0.0} MB/s");
    }

    public void Dispose() => _bar?.Dispose();

    /// <summary>A new bar, and a new rate: what was there already took no time.</summary>
    private void Begin(DownloadProgress value)
    {
        Dispose();
        (_stage, _first) = (value.Stage, value.Done);
        _clock.Restart();
        _bar = new ProgressBar(value.Stage);
    }
}
