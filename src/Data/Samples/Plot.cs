namespace LlamaFullstack.Data.Samples;

/// <summary>What happens in a story, apart from who and where: prose with slots, told line by line.</summary>
/// <remarks>The slots are explained in <see cref="StoryTeller"/>.</remarks>
internal sealed class Plot
{
    /// <summary>Reads a plot as it is written in <see cref="SamplePlots"/>.</summary>
    /// <param name="name">What it is about.</param>
    /// <param name="cases">
    /// What belongs together, such as a fear and its cure: the slots' names, then a case on each line, parted by semicolons.
    /// </param>
    /// <param name="text">The lines. One that begins with "/ " may be told in place of the one above; an empty one begins a paragraph.</param>
    public Plot(string name, string cases, string text)
    {
        Name = name;
        var rows = cases.Split('\n').Select(row => row.Split(';', StringSplitOptions.TrimEntries)).ToArray();
        Columns = rows[0];
        Cases = rows[1..];
        var lines = new List<List<string>>();
        foreach (var line in text.Split('\n'))
        {
            if (line.StartsWith("/ ", StringComparison.Ordinal))
                lines[^1].Add(line[2..]);
            else
                lines.Add(line.Length == 0 ? [] : [line]);
        }
        Lines = lines;
    }

    /// <summary>What it is about.</summary>
    public string Name { get; }

    /// <summary>The slots that a case fills.</summary>
    public IReadOnlyList<string> Columns { get; }

    /// <summary>The cases; a story takes one.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Cases { get; }

    /// <summary>For each line of the story the ways to tell it; none begins a paragraph.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Lines { get; }
}
