using System.Text;

namespace LlamaFullstack.Run;

/// <summary>What --help prints: what a program does, how it is called, and tables of names, wrapped to the terminal's width.</summary>
/// <param name="description">What it does, in a sentence or two.</param>
/// <param name="usage">How it is called, such as "llamafs run MODEL [options]".</param>
public sealed class HelpPage(string description, string usage)
{
    // Off a terminal, and on a wide one: longer lines are tiring to read.
    private const int MostColumns = 100;
    private const int FewestColumns = 40;

    private readonly List<(string? Heading, IReadOnlyList<(string Name, string Text)> Rows)> _tables = [];

    /// <summary>A sentence at the end, or null.</summary>
    public string? Note { get; init; }

    /// <summary>Adds a table.</summary>
    /// <param name="heading">Its heading, or null for none.</param>
    /// <param name="rows">A name and what is to be said of it. A table without rows is left out.</param>
    public void Add(string? heading, IEnumerable<(string Name, string Text)> rows)
    {
        if (rows.ToList() is { Count: > 0 } table)
            _tables.Add((heading, table));
    }

    /// <summary>Writes the page to stdout.</summary>
    public void Print() => Console.Out.Write(ToText(Console.IsOutputRedirected ? MostColumns : TextColumns.OfTerminal));

    /// <summary>The page.</summary>
    /// <param name="columns">How wide the terminal is, in characters; 40 to 100 of them are used.</param>
    public string ToText(int columns)
    {
        columns = Math.Clamp(columns, FewestColumns, MostColumns);
        var page = new StringBuilder();
        Wrap(page, "", "", description, columns);
        page.Append('\n');
        Wrap(page, "", "", $"Usage: {usage}", columns);
        // One column for all tables; a name that leaves less than half of the line to the text has a line of its own.
        var nameColumns = Math.Min(columns / 2, _tables.SelectMany(table => table.Rows).Select(row => row.Name.Length + 4).DefaultIfEmpty().Max());
        foreach (var (heading, rows) in _tables)
        {
            page.Append(heading is null ? "\n" : $"\n{heading}:\n");
            foreach (var (name, text) in rows)
                Wrap(page, $"  {name}", new string(' ', nameColumns), text, columns);
        }
        if (Note is not null)
        {
            page.Append('\n');
            Wrap(page, "", "", Note, columns);
        }
        return page.ToString();
    }

    /// <summary>Adds words in lines: the first behind a title, the others indented as far.</summary>
    private static void Wrap(StringBuilder page, string title, string indent, string text, int columns)
    {
        var line = title.PadRight(indent.Length);
        var isEmpty = true; // of words
        if (title.Length > 0 && title.Length + 2 > indent.Length)
        {
            page.Append(title).Append('\n');
            line = indent;
        }
        foreach (var word in text.Split(' '))
        {
            if (!isEmpty && line.Length + 1 + word.Length > columns)
            {
                page.Append(line).Append('\n');
                (line, isEmpty) = (indent, true);
            }
            line += isEmpty ? word : $" {word}";
            isEmpty = false;
        }
        page.Append(line.TrimEnd()).Append('\n');
    }
}
