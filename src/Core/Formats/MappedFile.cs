using System.IO.MemoryMappedFiles;
using System.Runtime.CompilerServices;

namespace LlamaFullstack.Core.Formats;

/// <summary>A file mapped read-only into memory. Every view is checked against the file's length before it is made.</summary>
public sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private byte* _pointer;

    private MappedFile(string path, MemoryMappedFile map, MemoryMappedViewAccessor view, long length)
    {
        Path = path;
        Length = length;
        _map = map;
        _view = view;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _pointer);
    }

    /// <summary>The file's name as it was given, for messages.</summary>
    public string Path { get; }

    /// <summary>The file's length in bytes.</summary>
    public long Length { get; }

    /// <summary>The first byte. Valid until <see cref="Dispose"/>.</summary>
    public byte* Pointer => _pointer;

    /// <summary>Maps a file.</summary>
    /// <exception cref="IOException">The file is missing, is a folder, or cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is empty.</exception>
    public static MappedFile Open(string path)
    {
        if (Directory.Exists(path))
            throw new IOException($"{path}: is a folder, expected a file.");
        if (!File.Exists(path))
            throw new FileNotFoundException($"{path}: no such file.");
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        var length = stream.Length;
        if (length == 0)
            throw new InvalidDataException($"{path}: the file is empty.");
        var map = MemoryMappedFile.CreateFromFile(stream, null, length, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        return new MappedFile(path, map, map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read), length);
    }

    /// <summary>A view of a part of the file.</summary>
    /// <exception cref="InvalidDataException">The part does not lie inside the file.</exception>
    /// <exception cref="ObjectDisposedException">The file is no longer mapped.</exception>
    public ReadOnlySpan<byte> Span(long offset, int length)
    {
        ObjectDisposedException.ThrowIf(_pointer == null, this);
        if (offset < 0 || length < 0 || offset > Length - length)
            throw new InvalidDataException($"{Path}: {Length:N0} bytes long, but bytes {offset:N0} to {(decimal)offset + length:N0} are needed. Was it cut short?");
        return new ReadOnlySpan<byte>(_pointer + offset, length);
    }

    /// <summary>Reads a little-endian value at any offset, aligned or not.</summary>
    /// <exception cref="InvalidDataException">The value does not lie inside the file.</exception>
    public T Read<T>(long offset) where T : unmanaged => Unsafe.ReadUnaligned<T>(ref Unsafe.AsRef(in Span(offset, sizeof(T))[0]));

    /// <summary>Unmaps the file. No view of it may be used afterwards.</summary>
    public void Dispose()
    {
        if (_pointer == null)
            return;
        _pointer = null;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _map.Dispose();
    }
}
