namespace LlamaFullstack.Core.Formats;

/// <summary>Writes a file so that its name always means a whole file: the old one or the new one, never a part.</summary>
public static class AtomicFile
{
    private const int BufferSize = 1 << 20;

    /// <summary>Writes under a temporary name in the same folder, flushes to the disk, then renames over <paramref name="path"/>.</summary>
    /// <param name="path">The file to create or replace; its folder is created where it is missing.</param>
    /// <param name="write">Writes the content. Where it throws, the temporary file is removed and the old file stays.</param>
    /// <exception cref="IOException">The disk is full, or the name cannot be written.</exception>
    public static void Write(string path, Action<FileStream> write)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        if (folder == "/dev")
            throw new IOException($"{path}: is a device, and would be replaced by a file. Name a file in a folder.");
        RequireFolder(folder, Path.GetFileName(path));
        if (Directory.Exists(path))
            throw new IOException($"{path}: is a folder, expected the name of a file to write.");
        var temporary = path + ".tmp";
        // Opened outside the try: where another process is writing the same file, this fails, and its temporary file is not ours to delete.
        var file = Create(folder, temporary, path);
        try
        {
            using (file)
            {
                write(file);
                file.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e)
        {
            File.Delete(temporary);
            if (e is IOException && e.Message.IndexOf($" : '{Path.GetFullPath(temporary)}'", StringComparison.Ordinal) is > 0 and var reason)
                throw new IOException($"{path}: {e.Message[..reason]}.", e.HResult); // of the name that was asked for
            throw;
        }
    }

    /// <summary>Writes files that belong together, as <see cref="Write(string, Action{FileStream})"/> each; none is there under its name before all of them are whole and on the disk.</summary>
    /// <param name="paths">The files to create or replace.</param>
    /// <param name="write">Writes the content of all, in the order of <paramref name="paths"/>. Where it throws, no file is replaced.</param>
    /// <exception cref="IOException">The disk is full, or a name cannot be written. What can still part the files is an end of the program, or a name that can no longer be taken, between the first renaming and the last.</exception>
    public static void Write(IReadOnlyList<string> paths, Action<IReadOnlyList<FileStream>> write)
    {
        var files = new List<FileStream>(paths.Count);
        void Next()
        {
            if (files.Count < paths.Count)
            {
                Write(paths[files.Count], file =>
                {
                    files.Add(file);
                    Next();
                });
                return;
            }
            write(files);
            foreach (var file in files)
                file.Flush(flushToDisk: true);
        }
        Next();
    }

    /// <summary>Refuses a folder that is a file, or lies below one.</summary>
    internal static void RequireFolder(string folder, string name)
    {
        for (var above = folder; above is not null; above = Path.GetDirectoryName(above))
            if (File.Exists(above))
                throw new IOException($"{above}: is a file, but {name} is to be written into a folder of this name. Remove it, or choose another folder.");
    }

    private static FileStream Create(string folder, string temporary, string path)
    {
        try
        {
            Directory.CreateDirectory(folder);
            return new FileStream(temporary, FileMode.Create, FileAccess.ReadWrite, FileShare.None, BufferSize);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"{path}: cannot be written there: {Reason(e, temporary)}", e.HResult);
        }
    }

    /// <summary>Why the system did not open a file for writing; its own words have the full name of the temporary file.</summary>
    internal static string Reason(Exception e, string file) =>
        e is UnauthorizedAccessException ? "the system does not let you (permission denied)."
        : IsLocked(e) ? "another process is writing it."
        : e.Message.Replace($" : '{Path.GetFullPath(file)}'", ".");

    /// <summary>Whether a file could not be opened since another process has it for itself.</summary>
    internal static bool IsLocked(Exception e)
    {
        const int Linux = 11, Mac = 35, Windows = 32; // EWOULDBLOCK of flock, ERROR_SHARING_VIOLATION
        return e is IOException && (e.HResult & 0xFFFF) == (OperatingSystem.IsWindows() ? Windows : OperatingSystem.IsMacOS() ? Mac : Linux);
    }

    /// <inheritdoc cref="Write(string, Action{FileStream})"/>
    public static void WriteAllBytes(string path, ReadOnlyMemory<byte> bytes) => Write(path, file => file.Write(bytes.Span));

    /// <summary>Writes text as UTF-8 without a byte order mark; see <see cref="Write(string, Action{FileStream})"/>.</summary>
    public static void WriteAllText(string path, string text) => WriteAllBytes(path, System.Text.Encoding.UTF8.GetBytes(text));
}
