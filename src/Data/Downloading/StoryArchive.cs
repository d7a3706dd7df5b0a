// Unpacks a .tar.gz of story shards. The archive comes from the network, so every name, kind and size in it is checked first:
// nothing is written outside the folder, no link is made, and no small archive becomes a full disk.

using System.Formats.Tar;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Data.Downloading;

/// <summary>Unpacks the story shards of a .tar.gz archive.</summary>
internal static class StoryArchive
{
    private const int TarBlock = 512;
    private const int MaxEntries = 100_000;

    // Stories shrink to a third or a quarter. Text that unpacks to this many times its size was made to fill a disk.
    private const long MaxRatio = 200;

    /// <summary>
    /// Unpacks every *.json into one folder, each under a temporary name until it is whole. A shard that is there already with the
    /// right size is kept, so that an interrupted run can go on.
    /// </summary>
    /// <param name="archive">The .tar.gz file.</param>
    /// <param name="folder">Where the shards go; created where it is missing.</param>
    /// <param name="freeSpace">Bytes free on the disk of a folder.</param>
    /// <param name="progress">Told of the archive's bytes that are done.</param>
    /// <param name="cancellation">Stops between two blocks; whole shards stay.</param>
    /// <returns>The number of shards.</returns>
    /// <exception cref="InvalidDataException">The archive is damaged or hostile, or holds no shard.</exception>
    /// <exception cref="IOException">A file cannot be read or written, or the disk is too full.</exception>
    public static int Unpack(
        string archive, string folder, Func<string, long> freeSpace, IProgress<DownloadProgress>? progress, CancellationToken cancellation)
    {
        Directory.CreateDirectory(folder);
        var written = new List<string>();
        try
        {
            return Unpack(archive, folder, freeSpace, written, progress, cancellation);
        }
        catch (InvalidDataException)
        {
            // The checksum comes last, so damage may show after a shard was written that it spoiled.
            written.ForEach(File.Delete);
            throw;
        }
    }

    private static int Unpack(
        string archive, string folder, Func<string, long> freeSpace, List<string> written,
        IProgress<DownloadProgress>? progress, CancellationToken cancellation)
    {
        using var file = new FileStream(archive, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 20, FileOptions.SequentialScan);
        using var content = new WholeGZipStream(file);
        using var tar = new TarReader(content);
        var budget = file.Length * MaxRatio;
        var names = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        for (var entries = 0; Guarded(archive, () => tar.GetNextEntry()) is { } entry; entries++)
        {
            budget -= entry.Length;
            if (entries >= MaxEntries || budget < 0)
                throw new InvalidDataException($"{archive}: unpacks to over {MaxRatio} times its size or {MaxEntries:N0} files, so it is not an archive of stories.");
            var name = CheckedName(entry, archive);
            if (entry.EntryType == TarEntryType.Directory || name[0] == '.' || !name.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
                continue;
            if (!names.Add(name))
                throw new InvalidDataException($"{archive}: holds {name} twice.");
            var path = Path.Combine(folder, name);
            if (File.Exists(path) && new FileInfo(path).Length == entry.Length)
                continue;
            CheckSpace(folder, entry.Length, name, freeSpace);
            WriteShard(entry, archive, path, () => Report(file, progress), cancellation);
            written.Add(path);
        }
        ReadEnd(content, budget, archive);
        return names.Count > 0 ? names.Count : throw new InvalidDataException($"{archive}: holds no story shards (*.json).");
    }

    /// <summary>The entry's file name, without folders, once it is sure that the entry means no harm.</summary>
    private static string CheckedName(TarEntry entry, string archive)
    {
        if (entry.EntryType is not (TarEntryType.RegularFile or TarEntryType.V7RegularFile or TarEntryType.Directory))
            throw new InvalidDataException($"{archive}: {PlainText.Quote(entry.Name)} is a {entry.EntryType}; only plain files are unpacked.");
        var parts = entry.Name.Split('/', '\\');
        if (parts[0].Length == 0 || parts.Contains("..") || entry.Name.Any(letter => letter is ':' || char.IsControl(letter)))
            throw new InvalidDataException($"{archive}: {PlainText.Quote(entry.Name)} would lie outside of the folder; nothing of that kind is unpacked.");
        return parts.LastOrDefault(part => part.Length > 0) ?? ".";
    }

    private static void CheckSpace(string folder, long needed, string name, Func<string, long> freeSpace)
    {
        var free = freeSpace(folder);
        if (free < needed)
            throw new IOException($"{folder}: {free:N0} bytes are free on this disk, but {name} needs {needed:N0}. Make room, then run the command again to go on.");
    }

    private static void WriteShard(TarEntry entry, string archive, string path, Action report, CancellationToken cancellation) =>
        AtomicFile.Write(path, file =>
        {
            var buffer = new byte[1 << 17];
            for (var left = entry.Length; left > 0;)
            {
                cancellation.ThrowIfCancellationRequested();
                var count = ReadContent(entry, buffer, archive);
                file.Write(buffer, 0, count);
                left -= count;
                report();
            }
        });

    /// <summary>
    /// An archive ends with two blocks of zeros. Neither the tar reader, which has read the first one, nor the gzip reader tells a cut
    /// one from a whole one, so what follows is looked at here.
    /// </summary>
    private static void ReadEnd(WholeGZipStream content, long budget, string archive)
    {
        var buffer = new byte[1 << 16];
        var rest = 0L;
        for (var count = 1; count > 0 && rest <= budget; rest += count)
            count = Guarded(archive, () => content.Read(buffer));
        if (rest < TarBlock)
            throw Damaged(archive, new EndOfStreamException("its end is missing"));
    }

    private static int ReadContent(TarEntry entry, byte[] buffer, string archive)
    {
        var count = Guarded(archive, () => entry.DataStream!.Read(buffer));
        return count > 0 ? count : throw Damaged(archive, new EndOfStreamException("it ends in the middle of a file"));
    }

    /// <summary>Reads, and says of which archive it is that a read finds damage.</summary>
    private static T Guarded<T>(string archive, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or FormatException or ArgumentException)
        {
            throw Damaged(archive, e);
        }
    }

    private static void Report(FileStream archive, IProgress<DownloadProgress>? progress) =>
        progress?.Report(new DownloadProgress("unpack", archive.Position, archive.Length));

    private static InvalidDataException Damaged(string archive, Exception e) =>
        new($"{archive}: not a whole .tar.gz archive ({e.Message.TrimEnd('.').ReplaceLineEndings(" ")}). Delete it and download again.", e);
}
