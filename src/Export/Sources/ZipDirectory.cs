using System.Text;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export.Sources;

/// <summary>Where the files of a zip archive lie, for archives that store them uncompressed, as PyTorch does.</summary>
/// <remarks>
/// Nothing is extracted: an entry is a range of the archive's own bytes. That is why compressed entries are refused (a zip bomb is one),
/// why no entry may overlap another, and why a name can do no harm. .NET's ZipArchive does not tell where an entry's bytes begin.
/// Layout: PKWARE's APPNOTE.TXT 6.3, sections 4.3.6 to 4.3.16 and 4.5.3 (zip64).
/// </remarks>
internal sealed class ZipDirectory
{
    /// <summary>The first four bytes of an archive with at least one file.</summary>
    public const uint LocalSignature = 0x04034b50;

    private const uint CentralSignature = 0x02014b50;
    private const uint EndSignature = 0x06054b50;
    private const uint End64Signature = 0x06064b50;
    private const uint End64LocatorSignature = 0x07064b50;

    private const int LocalLength = 30;
    private const int CentralLength = 46;
    private const int EndLength = 22;
    private const int End64Length = 56;
    private const int End64LocatorLength = 20;
    private const int MaxCommentLength = ushort.MaxValue;

    // A 405B checkpoint with optimizer has about 5,000 tensors; a directory of this many entries is about 10 MB.
    private const int MaxEntries = 100_000;

    private readonly MappedFile _file;
    private readonly Dictionary<string, ByteRange> _entries = new(StringComparer.Ordinal);

    private ZipDirectory(MappedFile file) => _file = file;

    /// <summary>Each file's name and the range of its bytes in the archive.</summary>
    public IReadOnlyDictionary<string, ByteRange> Entries => _entries;

    /// <summary>Reads the directory at the archive's end and checks that every entry lies before it and apart from the others.</summary>
    /// <exception cref="InvalidDataException">The archive is cut short, damaged, or of a kind that PyTorch does not write.</exception>
    public static ZipDirectory Read(MappedFile file)
    {
        var zip = new ZipDirectory(file);
        var (count, directory) = zip.FindDirectory();
        zip.ReadEntries(count, directory);
        zip.CheckOverlap();
        return zip;
    }

    private (long Count, ByteRange Directory) FindDirectory()
    {
        var end = FindEnd();
        var disk = _file.Read<ushort>(end + 4);
        long count = _file.Read<ushort>(end + 10);
        long size = _file.Read<uint>(end + 12);
        long offset = _file.Read<uint>(end + 16);
        if (disk is not (0 or ushort.MaxValue))
            throw Bad($"the zip archive is split over several disks (disk {disk})");

        var locator = end - End64LocatorLength;
        if (locator >= 0 && _file.Read<uint>(locator) == End64LocatorSignature)
        {
            var end64 = _file.Read<long>(locator + 8);
            if (end64 < 0 || end64 > locator - End64Length || _file.Read<uint>(end64) != End64Signature)
                throw Bad($"the zip64 end record is not at {end64:N0}, where its locator points");
            count = _file.Read<long>(end64 + 32);
            size = _file.Read<long>(end64 + 40);
            offset = _file.Read<long>(end64 + 48);
        }

        if (offset < 0 || size < 0 || offset > end - size)
            throw Bad($"the zip directory ({size:N0} bytes at {offset:N0}) does not lie before its end record at {end:N0}");
        if (count is < 1 or > MaxEntries || count > size / CentralLength)
            throw Bad($"the zip directory claims {count:N0} files, which its {size:N0} bytes cannot hold");
        return (count, new ByteRange(offset, size));
    }

    // The end record is the last thing in the file but for a comment, whose length it tells: that pair of facts finds it.
    private long FindEnd()
    {
        var last = _file.Length - EndLength;
        var first = Math.Max(0, last - MaxCommentLength);
        for (var at = last; at >= first; at--)
            if (_file.Read<uint>(at) == EndSignature && _file.Read<ushort>(at + 20) == last - at)
                return at;
        throw new InvalidDataException($"{_file.Path}: a zip archive without the directory at its end. Was it cut short? Download or save it again.");
    }

    private void ReadEntries(long count, ByteRange directory)
    {
        var at = directory.Offset;
        for (var i = 0L; i < count; i++)
        {
            if (at > directory.End - CentralLength || _file.Read<uint>(at) != CentralSignature)
                throw Bad($"entry {i} of the zip directory is missing at {at:N0}");
            var flags = _file.Read<ushort>(at + 8);
            var method = _file.Read<ushort>(at + 10);
            long packedSize = _file.Read<uint>(at + 20);
            long size = _file.Read<uint>(at + 24);
            int nameLength = _file.Read<ushort>(at + 28);
            int extraLength = _file.Read<ushort>(at + 30);
            int commentLength = _file.Read<ushort>(at + 32);
            long local = _file.Read<uint>(at + 42);
            if (at > directory.End - CentralLength - nameLength - extraLength - commentLength)
                throw Bad($"entry {i} of the zip directory reaches beyond the directory");

            var name = Encoding.UTF8.GetString(_file.Span(at + CentralLength, nameLength));
            var quoted = PlainText.Quote(name);
            CheckName(name, quoted);
            ReadZip64Sizes(at + CentralLength + nameLength, extraLength, ref size, ref packedSize, ref local);
            if ((flags & 1) != 0)
                throw Bad($"{quoted} is encrypted, expected a plain file");
            if (method != 0 || packedSize != size)
                throw Bad($"{quoted} is compressed (method {method}, {packedSize:N0} bytes for {size:N0}), but PyTorch stores files as they are. Save it with torch.save again");
            if (!_entries.TryAdd(name, FindData(quoted, local, nameLength, size, directory.Offset)))
                throw Bad($"{quoted} is in the zip directory twice");
            at += CentralLength + nameLength + extraLength + commentLength;
        }
    }

    private void CheckName(string name, string quoted)
    {
        if (name.Length == 0 || name[0] == '/' || name.Contains('\\') || name.Split('/').Contains(".."))
            throw Bad($"{quoted} is not a name that PyTorch gives to a file of its archive");
    }

    // Field 1 of the extra data holds, in this order, those of the three values that do not fit 32 bits.
    private void ReadZip64Sizes(long at, int length, ref long size, ref long packedSize, ref long local)
    {
        var end = at + length;
        while (at <= end - 4)
        {
            int id = _file.Read<ushort>(at);
            var fieldEnd = at + 4 + _file.Read<ushort>(at + 2);
            at += 4;
            if (fieldEnd > end)
                throw Bad($"an extra field of the zip directory reaches beyond its entry at {at:N0}");
            if (id == 1)
            {
                size = ReadWide(size, ref at, fieldEnd);
                packedSize = ReadWide(packedSize, ref at, fieldEnd);
                local = ReadWide(local, ref at, fieldEnd);
            }
            at = fieldEnd;
        }
    }

    private long ReadWide(long narrow, ref long at, long end)
    {
        if (narrow != uint.MaxValue || at > end - sizeof(long))
            return narrow;
        at += sizeof(long);
        return _file.Read<long>(at - sizeof(long));
    }

    private ByteRange FindData(string quoted, long local, int nameLength, long size, long limit)
    {
        if (local < 0 || size < 0 || local > limit - LocalLength || _file.Read<uint>(local) != LocalSignature)
            throw Bad($"{quoted} is not at {local:N0}, where the zip directory points");
        if (_file.Read<ushort>(local + 26) != nameLength)
            throw Bad($"{quoted} has another name at {local:N0} than in the zip directory");
        var data = local + LocalLength + nameLength + _file.Read<ushort>(local + 28);
        if (data > limit - size)
            throw Bad($"{quoted} ({size:N0} bytes at {data:N0}) reaches into the zip directory at {limit:N0}");
        return new ByteRange(data, size);
    }

    private void CheckOverlap()
    {
        var end = 0L;
        foreach (var (name, range) in _entries.OrderBy(entry => entry.Value.Offset).ThenBy(entry => entry.Value.Length))
        {
            if (range.Offset < end)
                throw Bad($"{PlainText.Quote(name)} overlaps another file of the archive at {range.Offset:N0}");
            end = range.End;
        }
    }

    private InvalidDataException Bad(string problem) => new($"{_file.Path}: {problem}.");
}
