// What a dataset is: files of text, and how each is read. Learning a vocabulary, pretokenising and training need no more.

using LlamaFullstack.Data.Stories;

namespace LlamaFullstack.Data.Datasets;

/// <summary>A dataset. One of your own is a class with a name, a list of files, and how to read one.</summary>
/// <remarks>
/// <code>
/// sealed class Songs(string folder) : Dataset
/// {
///     public override string Name => "songs";
///     public override IReadOnlyList&lt;string&gt; Files => [.. Directory.GetFiles(folder, "*.csv").Order()];
///     public override StoryReader Open(string file) => StoryReader.Of(File.ReadLines(file).Select(line => line.Split(';')[1]));
/// }
/// </code>
/// </remarks>
public abstract class Dataset
{
    /// <summary>Its name: the folder of its vocabulary and tokens in the data folder.</summary>
    public abstract string Name { get; }

    /// <summary>The files, in order.</summary>
    public abstract IReadOnlyList<string> Files { get; }

    /// <summary>Opens a file.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is not what it should be.</exception>
    public abstract StoryReader Open(string file);

    /// <summary>Which stories are kept for validation: those of the first file, where not said otherwise.</summary>
    public virtual ValidationSplit Validation => ValidationSplit.FirstFile;

    /// <summary>What else decides the stories, such as a separator: where it changes, the tokens are made again.</summary>
    public virtual string Settings => "";
}
