// A dataset of files of any known format: TinyStories, the samples, and whatever a person names by its path.

using System.IO.Enumeration;
using LlamaFullstack.Data.Stories;

namespace LlamaFullstack.Data.Datasets;

/// <summary>Files of text as a dataset.</summary>
public sealed class FileDataset : Dataset
{
    /// <summary>What a person's own files keep for validation where nothing is said: they need not be several.</summary>
    private const double DefaultShare = 0.05;

    private readonly DataFolder _folder;
    private readonly DatasetSource _source;
    private readonly IReadOnlyList<StoryFormat> _formats;

    private FileDataset(DataFolder folder, DatasetSource source, IReadOnlyList<StoryFormat> formats)
    {
        (Name, _folder, _source, _formats) = (folder.Dataset, folder, source, formats);
        Files = FilesOf(source.Path ?? folder.Stories);
        if (Files.Count == 0)
            throw new FileNotFoundException(
                $"{source.Path ?? folder.Stories}: no stories ({string.Join(", ", formats.Select(format => "*" + format.Extension))}). {folder.StoriesAdvice}");
        Validation = source.Validation is { } split ? ValidationSplit.Parse(split)
            : source.Path is null ? ValidationSplit.FirstFile : ValidationSplit.OfShare(DefaultShare);
    }

    /// <summary>Finds a dataset's files.</summary>
    /// <param name="folder">The dataset's place.</param>
    /// <param name="given">How to read it; what is null here is as it is remembered, else the format's default.</param>
    /// <param name="more">Formats beside <see cref="StoryFormat.BuiltIn"/>.</param>
    /// <exception cref="FileNotFoundException">There are no files; the message says how to get some.</exception>
    /// <exception cref="InvalidDataException">A file's format is not known, or the folder belongs to another dataset of the same name.</exception>
    /// <exception cref="ArgumentException">The validation split makes no sense.</exception>
    public static FileDataset Open(DataFolder folder, DatasetSource? given = null, params IReadOnlyList<StoryFormat> more)
    {
        var remembered = DatasetSource.ReadFor(folder);
        var source = ((given ?? new DatasetSource()) with { Path = folder.SourcePath }).Or(remembered);
        return new FileDataset(folder, source, [.. StoryFormat.BuiltIn, .. more]);
    }

    /// <summary>Notes in the dataset's folder where the files are and how they are read, for commands that give only the name: once it has proved right.</summary>
    /// <exception cref="IOException">The note cannot be written.</exception>
    public void Remember()
    {
        if (_source != (DatasetSource.Read(_folder) ?? new DatasetSource()))
            _source.Write(_folder);
    }

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Files { get; }

    /// <inheritdoc/>
    public override ValidationSplit Validation { get; }

    /// <inheritdoc/>
    public override string Settings => $"separator={_source.Separator}, text_column={_source.TextColumn}";

    /// <inheritdoc/>
    public override StoryReader Open(string file) => _formats.First(format => format.IsOf(file)).Open(file, _source);

    private IReadOnlyList<string> FilesOf(string path)
    {
        bool IsKnown(string file) => _formats.Any(format => format.IsOf(file));
        if (Directory.Exists(path))
            return InOrder(AllBelow(path).Where(IsKnown));
        var files = File.Exists(path) ? [path] : Matching(path);
        return files.FirstOrDefault(file => !IsKnown(file)) is not { } unknown ? files
            : throw new InvalidDataException($"{unknown}: expected a name that ends in {string.Join(", ", _formats.Select(format => format.Extension))}. Plain text is .txt.");
    }

    /// <summary>The files of a pattern such as poems/*.txt, or poems/**/*.txt for those of all folders below too.</summary>
    private IReadOnlyList<string> Matching(string pattern)
    {
        var folder = Path.GetDirectoryName(pattern)!;
        var isDeep = Path.GetFileName(folder) == "**";
        if (isDeep)
            folder = Path.GetDirectoryName(folder)!;
        if (folder.Contains('*') || folder.Contains('?'))
            throw new ArgumentException($"--dataset {pattern}: only the name of the file may be a pattern, and ** the folder before it.");
        return Directory.Exists(folder)
            ? InOrder((isDeep ? AllBelow(folder) : Directory.EnumerateFiles(folder)).Where(IsMatch))
            : [];

        bool IsMatch(string file) => FileSystemName.MatchesSimpleExpression(Path.GetFileName(pattern), Path.GetFileName(file), ignoreCase: OperatingSystem.IsWindows());
    }

    /// <summary>
    /// All files of a folder and of those below it, but for this program's own. A link to a folder is followed where it leads out, once to each place: so no
    /// text is read twice, and no loop goes on.
    /// </summary>
    private IEnumerable<string> AllBelow(string folder)
    {
        var entered = new HashSet<string>();
        var files = new FileSystemEnumerable<string>(
            folder, (ref FileSystemEntry entry) => entry.ToFullPath(), new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0, IgnoreInaccessible = false })
        {
            ShouldIncludePredicate = (ref FileSystemEntry entry) => !entry.IsDirectory,
            ShouldRecursePredicate = (ref FileSystemEntry entry) =>
                !entry.Attributes.HasFlag(FileAttributes.ReparsePoint)
                || new DirectoryInfo(entry.ToFullPath()).ResolveLinkTarget(returnFinalTarget: true)?.FullName is not { } target
                || (!DataFolder.IsIn(target, folder) && !DataFolder.IsIn(folder, target) && entered.Add(target)),
        };
        return files.Where(file => !_folder.IsOurs(file, folder));
    }

    private static IReadOnlyList<string> InOrder(IEnumerable<string> files) =>
        [.. files.Where(file => !Path.GetFileName(file).StartsWith('.')).Order(StringComparer.Ordinal)];
}
