// What is remembered of a dataset made of a person's own files, data/NAME/dataset.json, so that later commands need only its name.

using System.Text.Json;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Data.Datasets;

/// <summary>Where the files of a dataset are, and how they are read. Null is what the format takes where nothing is said.</summary>
/// <param name="Path">A file, a folder or a pattern, in full; null for the folder "stories" of the dataset itself.</param>
/// <param name="Separator">What parts the stories of .txt files, as in <see cref="Stories.TextStoryReader"/>.</param>
/// <param name="TextColumn">The name of the text in .json, .jsonl and .parquet.</param>
/// <param name="Validation">The split, as <see cref="ValidationSplit.Parse"/> reads it.</param>
public sealed record DatasetSource(string? Path = null, string? Separator = null, string? TextColumn = null, string? Validation = null)
{
    private const string FileName = "dataset.json";

    /// <summary>Where it is remembered.</summary>
    internal static string PathIn(DataFolder folder) => System.IO.Path.Combine(folder.Root, FileName);

    /// <summary>Reads what is remembered of a dataset.</summary>
    /// <returns>Null where nothing is.</returns>
    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    public static DatasetSource? Read(DataFolder folder)
    {
        var path = PathIn(folder);
        if (!InputFile.Exists(path))
            return null;
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), DataJsonContext.Default.DatasetSource);
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"{path}: not a note of a dataset: {PlainText.Quote(error)}. Delete it.");
        }
    }

    /// <summary>Writes it down, atomically.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Write(DataFolder folder) =>
        AtomicFile.WriteAllBytes(PathIn(folder), JsonSerializer.SerializeToUtf8Bytes(this, DataJsonContext.Default.DatasetSource));

    /// <summary>What is remembered of a dataset that was named by its path, once it is sure that it is the same one.</summary>
    /// <exception cref="InvalidDataException">The folder belongs to another dataset of the same name.</exception>
    public static DatasetSource? ReadFor(DataFolder folder)
    {
        var remembered = Read(folder);
        if (folder.SourcePath is { } path && remembered is { Path: var other } && other != path)
            throw new InvalidDataException(
                $"{folder.Root}: belongs to the dataset {other ?? folder.Stories}, which has the same name as {path}. Rename one of them, or keep this one apart with --data_dir.");
        return remembered;
    }

    /// <summary>This, and where it says nothing, the other.</summary>
    internal DatasetSource Or(DatasetSource? other) =>
        new(Path ?? other?.Path, Separator ?? other?.Separator, TextColumn ?? other?.TextColumn, Validation ?? other?.Validation);
}
