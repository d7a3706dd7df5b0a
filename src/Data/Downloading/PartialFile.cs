using System.Text.Json;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Data.Downloading;

/// <summary>
/// The part of a file that is here already, NAME.part, with a note of what it is a part of, NAME.part.json. Both outlive the program.
/// </summary>
internal sealed class PartialFile : IDisposable
{
    private readonly string _path;
    private readonly string _note;
    private readonly FileStream _file;

    /// <summary>Opens what an earlier run left, if it is a part of this file that can be continued; else begins with nothing.</summary>
    /// <exception cref="IOException">Another program is downloading it, or the folder cannot be written.</exception>
    public PartialFile(string path, Uri url)
    {
        (_path, Name, _note) = (path, NameFor(path), NameFor(path) + ".json");
        Folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        Directory.CreateDirectory(Folder);
        try
        {
            _file = new FileStream(Name, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (File.Exists(Name))
        {
            throw new IOException($"{Name}: cannot be opened. Is it being downloaded already? ({e.Message})", e);
        }
        Source = ReadNote();
        if (Source is { CanResume: true } && Source.Url == url.AbsoluteUri && Length <= (Source.Length ?? long.MaxValue))
            _file.Seek(0, SeekOrigin.End);
        else
            Discard();
    }

    /// <summary>The part's own name.</summary>
    public string Name { get; }

    /// <summary>The folder it grows in.</summary>
    public string Folder { get; }

    /// <summary>What it is a part of; null as long as nothing is known.</summary>
    public RemoteFile? Source { get; private set; }

    /// <summary>Bytes that are here.</summary>
    public long Length => _file.Length;

    /// <summary>Whether all bytes are here, as far as the server said how many there are.</summary>
    public bool IsWhole => Source?.Length == Length;

    /// <summary>Where a part of this file would lie.</summary>
    public static string NameFor(string path) => path + ".part";

    /// <summary>Forgets everything.</summary>
    public void Discard()
    {
        _file.SetLength(0);
        File.Delete(_note);
        Source = null;
    }

    /// <summary>Begins anew with another source.</summary>
    public void Begin(RemoteFile source)
    {
        _file.SetLength(0);
        Source = source;
        AtomicFile.WriteAllBytes(_note, JsonSerializer.SerializeToUtf8Bytes(source, DataJsonContext.Default.RemoteFile));
    }

    /// <summary>Adds bytes at the end.</summary>
    public ValueTask AppendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation) => _file.WriteAsync(bytes, cancellation);

    /// <summary>The bytes from the beginning, for a checksum.</summary>
    public Stream FromStart()
    {
        _file.Seek(0, SeekOrigin.Begin);
        return _file;
    }

    /// <summary>Gives the whole file its name.</summary>
    public void Finish()
    {
        _file.Flush(flushToDisk: true);
        _file.Dispose();
        File.Move(Name, _path, overwrite: true);
        File.Delete(_note);
    }

    /// <summary>Closes; what is here stays for the next run.</summary>
    public void Dispose()
    {
        if (!_file.CanWrite)
            return;
        var isEmpty = Length == 0;
        _file.Dispose();
        if (isEmpty)
        {
            File.Delete(Name);
            File.Delete(_note);
        }
    }

    private RemoteFile? ReadNote()
    {
        try
        {
            return File.Exists(_note) ? JsonSerializer.Deserialize(File.ReadAllBytes(_note), DataJsonContext.Default.RemoteFile) : null;
        }
        catch (JsonException)
        {
            return null;    // an unreadable note says nothing, so the download begins anew
        }
    }
}
