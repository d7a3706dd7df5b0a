using System.Buffers;
using System.IO.MemoryMappedFiles;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace LlamaFullstack.Core.Formats;

/// <summary>A file mapped read-only into memory. Every view is checked against the file's length before it is made.</summary>
public sealed unsafe class MappedFile : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private byte* _pointer;

    private MappedFile(string path, SafeFileHandle handle, MemoryMappedFile map, MemoryMappedViewAccessor view, long length)
    {
        Path = path;
        Length = length;
        _handle = handle;
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
    /// <exception cref="IOException">The file is missing, is a folder, cannot be read, or is longer than the address space has room for.</exception>
    /// <exception cref="InvalidDataException">The file is empty.</exception>
    public static MappedFile Open(string path)
    {
        var handle = InputFile.Open(path, out var length);
        try
        {
            var map = MemoryMappedFile.CreateFromFile(handle, null, length, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            return new MappedFile(path, handle, map, map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read), length);
        }
        catch (IOException e)
        {
            handle.Dispose();
            throw new IOException($"{path}: its {length:N0} bytes cannot be mapped into memory: {e.Message}. Is there a limit of the address space (ulimit -v)?", e);
        }
    }

    /// <summary>A view of a part of the file.</summary>
    /// <exception cref="InvalidDataException">The part does not lie inside the file.</exception>
    /// <exception cref="ObjectDisposedException">The file is no longer mapped.</exception>
    public ReadOnlySpan<byte> Span(long offset, int length)
    {
        CheckInside(offset, length);
        return new ReadOnlySpan<byte>(_pointer + offset, length);
    }

    /// <summary>Copies stored numbers as float32, with all cores where there are many.</summary>
    /// <param name="offset">Byte offset of the first.</param>
    /// <param name="type">Their type.</param>
    /// <param name="destination">As many values as are to be read.</param>
    /// <remarks>
    /// The bytes are read, not taken from the mapping: pages that are touched there count as this process's memory, and a model that is
    /// converted is touched from end to end.
    /// </remarks>
    /// <exception cref="InvalidDataException">The numbers do not lie inside the file.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public void ReadFloats(long offset, NumberType type, Span<float> destination)
    {
        const int PartLength = 1 << 16; // up to 512 KB: stays in a core's cache between reading and converting
        CheckInside(offset, (long)destination.Length * type.Size());
        fixed (float* first = destination)
        {
            var values = first;
            ParallelParts.Run(destination.Length, PartLength, (start, count) =>
                ReadPart(offset + start * type.Size(), type, new Span<float>(values + start, count)));
        }
    }

    /// <summary>Copies bytes; read, not taken from the mapping, as <see cref="ReadFloats"/> does and for its reason.</summary>
    /// <exception cref="InvalidDataException">They do not lie inside the file.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public void ReadBytes(long offset, Span<byte> destination)
    {
        CheckInside(offset, destination.Length);
        InputFile.Read(_handle, Path, offset, destination);
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
        _handle.Dispose();
    }

    private void CheckInside(long offset, long length)
    {
        ObjectDisposedException.ThrowIf(_pointer == null, this);
        if (offset < 0 || length < 0 || offset > Length - length)
            throw new InvalidDataException($"{Path}: {Length:N0} bytes long, but bytes {offset:N0} to {(decimal)offset + length:N0} are needed. Was it cut short?");
    }

    private void ReadPart(long offset, NumberType type, Span<float> destination)
    {
        if (type == NumberType.Float32)
        {
            ReadBytes(offset, MemoryMarshal.AsBytes(destination));
            return;
        }
        var length = destination.Length * type.Size();
        var bytes = ArrayPool<byte>.Shared.Rent(length);
        ReadBytes(offset, bytes.AsSpan(0, length));
        type.ToFloat32(bytes.AsSpan(0, length), destination);
        ArrayPool<byte>.Shared.Return(bytes);
    }
}
