// A dataset of files of any known format: TinyStories, the samples, and whatever a person names by its path.

using LlamaFullstack.Core.Formats;
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
        Files = WithoutSecondNames(FilesOf(source.Path ?? folder.Stories));
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

    /// <summary>A link to a file that is of the dataset anyway says nothing new: each file is read once, under its own name, else under its first. A pipe or a device is refused before any file is read.</summary>
    private static IReadOnlyList<string> WithoutSecondNames(IReadOnlyList<string> files)
    {
        foreach (var file in files)
            InputFile.CheckPlain(file);
        var isLink = files.ToLookup(file => new FileInfo(file).LinkTarget is not null);
        if (!isLink[true].Any())
            return files;
        var read = new HashSet<string>();
        return [.. isLink[false].Concat(isLink[true]).Where(file => read.Add(RealPath(Path.GetFullPath(file)))).Order(StringComparer.Ordinal)];
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
        return !Directory.Exists(folder) ? [] : InOrder(isDeep ? AllBelow(folder, Path.GetFileName(pattern)) : Directory.EnumerateFiles(folder, Path.GetFileName(pattern)));
    }

    /// <summary>
    /// The files of a folder and of all below it, but for the data folder where that lies there too. Links to folders are followed, but no folder is read twice,
    /// so no loop goes on; where one has several names it is read under its own, else under the first.
    /// </summary>
    private IEnumerable<string> AllBelow(string folder, string pattern = "*")
    {
        var root = RealPath(Path.GetFullPath(folder));
        var read = new HashSet<string>();
        if (Directory.Exists(_folder.DataDir) && RealPath(Path.GetFullPath(_folder.DataDir)) is var dataDir && !IsIn(root, dataDir))
            read.Add(dataDir);
        var (folders, links) = (new Queue<string>([folder]), new Queue<string>());
        while (folders.TryDequeue(out var next) || links.TryDequeue(out next))
        {
            var real = RealPath(Path.GetFullPath(next));
            if ((real != root && IsIn(root, real)) || !read.Add(real))
                continue;
            foreach (var file in Directory.EnumerateFiles(next, pattern))
                yield return file;
            foreach (var inside in Directory.EnumerateDirectories(next).Order(StringComparer.Ordinal))
                (new DirectoryInfo(inside).LinkTarget is null ? folders : links).Enqueue(inside);
        }
    }

    /// <summary>The path of a folder that exists with no link on the way, so that each folder has one; a path that is not rooted begins in another folder.</summary>
    private static string RealPath(string path, string from = "")
    {
        var root = Path.GetPathRoot(path)!;
        var real = root.Length > 0 ? root : from;
        foreach (var name in path[root.Length..].Split(Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar))
        {
            var next = Path.Combine(real, name);
            real = name is "" or "." ? real
                : name is ".." ? Path.GetDirectoryName(real) ?? real
                : new DirectoryInfo(next).LinkTarget is { } target ? RealPath(target, real)
                : next;
        }
        return real;
    }

    private static bool IsIn(string path, string folder) =>
        path == folder || path.StartsWith(Path.EndsInDirectorySeparator(folder) ? folder : folder + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    /// <summary>Files in the order of their names, without hidden ones and without the note that this program itself puts into the data folder.</summary>
    private IReadOnlyList<string> InOrder(IEnumerable<string> files)
    {
        var note = Path.GetFullPath(DatasetSource.PathIn(_folder));
        return [.. files.Where(file => !Path.GetFileName(file).StartsWith('.') && Path.GetFullPath(file) != note).Order(StringComparer.Ordinal)];
    }
}
