using LlamaFullstack.Run;

namespace LlamaFullstack.Cli;

/// <summary>One line of a terminal that is drawn over itself.</summary>
/// <param name="terminal">Where it is drawn: stdout or stderr.</param>
internal sealed class StatusLine(TextWriter terminal)
{
    private int _shown;

    /// <summary>Whether a stream is a terminal that can go back to the beginning of a line.</summary>
    public static bool FitsOn(bool isRedirected) => !isRedirected && Environment.GetEnvironmentVariable("TERM") != "dumb";

    /// <summary>Draws the line anew. What is longer than the terminal is wide is cut: wrapped, it could not be drawn over.</summary>
    public void Draw(string line)
    {
        var width = TextColumns.OfTerminal - 1; // a terminal wraps once its last column is full
        var (text, columns) = TextColumns.Fit(line, width);
        terminal.Write("\r" + text + new string(' ', Math.Max(0, Math.Min(_shown, width) - columns)));
        _shown = columns;
    }

    /// <summary>Ends the line, so that what follows begins on its own.</summary>
    public void End()
    {
        if (_shown > 0)
            terminal.WriteLine();
        _shown = 0;
    }

    /// <summary>A time that is left, for people: "1 h 44 min".</summary>
    public static string Duration(TimeSpan time) =>
        time.TotalHours >= 1 ? $"{(int)time.TotalHours} h {time.Minutes} min" : time.TotalMinutes >= 1 ? $"{time.Minutes} min {time.Seconds} s" : $"{time.Seconds} s";
}
