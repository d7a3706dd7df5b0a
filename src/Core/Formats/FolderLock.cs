namespace LlamaFullstack.Core.Formats;

/// <summary>Keeps other processes from writing a folder's files as long as this one does. The system lifts it when the process ends, however that is.</summary>
public sealed class FolderLock : IDisposable
{
    private const string FileName = ".lock";
    private readonly FileStream _file;

    /// <summary>Takes it.</summary>
    /// <param name="folder">The folder, created where it is missing.</param>
    /// <param name="advice">What to do where another process has it.</param>
    /// <exception cref="IOException">Another process has it, or the folder cannot be written.</exception>
    public FolderLock(string folder, string advice)
    {
        var path = Path.Combine(folder, FileName);
        AtomicFile.RequireFolder(Path.GetFullPath(folder), "what this makes");
        try
        {
            Directory.CreateDirectory(folder);
            _file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0, FileOptions.DeleteOnClose);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw AtomicFile.IsLocked(e) ? new IOException($"{folder}: another process is writing into this folder. {advice}", e)
                : new IOException($"{folder}: cannot be written: {AtomicFile.Reason(e, path)}", e.HResult);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
