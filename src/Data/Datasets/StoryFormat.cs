using LlamaFullstack.Data.Stories;

namespace LlamaFullstack.Data.Datasets;

/// <summary>How to read the files whose names end in a certain way.</summary>
/// <param name="Extension">The end of the name, such as ".txt".</param>
/// <param name="Open">Opens a file, given its path and the settings of its dataset.</param>
public sealed record StoryFormat(string Extension, Func<string, DatasetSource, StoryReader> Open)
{
    /// <summary>The formats that need no library: plain text, JSON, JSON Lines, each also in a .gz.</summary>
    public static IReadOnlyList<StoryFormat> BuiltIn { get; } =
    [
        .. WithGZip(".txt", (path, source) => TextStoryReader.Open(path, source.Separator)),
        .. WithGZip(".json", (path, source) => JsonStoryReader.Open(path, source.TextColumn ?? JsonStoryReader.DefaultColumn)),
        .. WithGZip(".jsonl", (path, source) => JsonStoryReader.Open(path, source.TextColumn ?? JsonStoryReader.DefaultLinesColumn, lines: true)),
    ];

    /// <summary>Whether it is the format of a file.</summary>
    public bool IsOf(string path) => path.EndsWith(Extension, StringComparison.OrdinalIgnoreCase);

    private static StoryFormat[] WithGZip(string extension, Func<string, DatasetSource, StoryReader> open) => [new(extension, open), new(extension + ".gz", open)];
}
