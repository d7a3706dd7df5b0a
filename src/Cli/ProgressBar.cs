using System.Diagnostics;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli;

/// <summary>Progress on stderr: a bar that is redrawn on a terminal; elsewhere a plain line every few seconds, so none of what is done at once.</summary>
/// <remarks>Safe to be reported to from several threads.</remarks>
internal sealed class ProgressBar(string label) : IDisposable
{
    private const int Width = 30;
    private static readonly TimeSpan Redraw = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan PlainInterval = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly StatusLine? _line = StatusLine.FitsOn(Console.IsErrorRedirected) ? new StatusLine(Console.Error) : null;
    private TimeSpan? _lastShown;

    /// <summary>Shows how far the work is.</summary>
    /// <param name="done">What is done, in any unit.</param>
    /// <param name="total">All there is to do; 0 where that is not known.</param>
    /// <param name="note">A word on it, such as "12 MB/s".</param>
    public void Report(double done, double total, string note = "")
    {
        lock (_lock)
        {
            var now = _clock.Elapsed;
            var isLast = total > 0 && done >= total;
            var isDue = _line is null
                ? now - (_lastShown ?? TimeSpan.Zero) >= PlainInterval || (isLast && _lastShown is not null)
                : _lastShown is null || now - _lastShown >= Redraw || isLast;
            if (!isDue)
                return;
            _lastShown = now;
            var share = total > 0 ? Math.Clamp(done / total, 0, 1) : 0;
            var left = share is > 0 and < 1 && now.TotalSeconds > 1 ? $"{(note.Length > 0 ? ", " : "")}{StatusLine.Duration(now * ((1 - share) / share))} left" : "";
            var percent = total > 0 ? $"{share * 100,3:0}%" : "";
            if (_line is null)
                ExitCode.Say($"{label} {percent} {note}{left}".TrimEnd());
            else
                _line.Draw($"{label}{Bar(share, TextColumns.OfTerminal - TextColumns.Of(label))} {percent} {note}{left}");
        }
    }

    /// <summary>Ends the line, so that what follows begins on its own.</summary>
    public void Dispose()
    {
        lock (_lock)
            _line?.End();
    }

    // Where there is no room for it, the number alone tells.
    private static string Bar(double share, int room)
    {
        var full = (int)(share * Width);
        return room < Width + 10 ? "" : " [" + new string('#', full) + new string('.', Width - full) + "]";
    }
}
