// .NET's GZipStream takes the end of the file for the end of the data: a .gz that was cut short, or damaged so that its end is not found, unpacks
// without an error. This one looks at the last 4 bytes, which say how long the data are.

using System.Buffers.Binary;
using System.IO.Compression;

namespace LlamaFullstack.Data;

/// <summary>Unpacks a .gz file, and throws <see cref="InvalidDataException"/> at its end where it is not whole.</summary>
/// <param name="file">Can seek; stays open.</param>
internal sealed class WholeGZipStream(Stream file) : Stream
{
    private const int SmallestFile = 18;    // header, an empty block, checksum and length

    private readonly GZipStream _unpacked = new(file, CompressionMode.Decompress, leaveOpen: true);
    private long _length;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(Span<byte> buffer)
    {
        var count = _unpacked.Read(buffer);
        _length += count;
        if (count == 0 && buffer.Length > 0 && !IsWhole())
            throw new InvalidDataException("cut short or damaged, or several .gz files joined in one");
        return count;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        _unpacked.Dispose();
        base.Dispose(disposing);
    }

    private bool IsWhole()
    {
        if (file.Length < SmallestFile)
            return false;
        Span<byte> length = stackalloc byte[sizeof(uint)];
        file.Seek(-length.Length, SeekOrigin.End);
        file.ReadExactly(length);
        return BinaryPrimitives.ReadUInt32LittleEndian(length) == (uint)_length;
    }
}
