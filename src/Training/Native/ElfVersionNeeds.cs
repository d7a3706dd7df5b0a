using System.Buffers.Binary;
using System.Text;

namespace LlamaFullstack.Training.Native;

/// <summary>
/// The table in which a 64-bit little-endian ELF library names the symbol versions that it needs of other libraries.
/// Knows nothing about torch.
/// </summary>
/// <remarks>
/// Source: the System V ABI and the Linux Standard Base, "Symbol Versioning". The program headers are used, as the dynamic
/// linker does, not the section headers, which a stripped file may lack.
/// </remarks>
internal static class ElfVersionNeeds
{
    private const int ProgramHeaderSize = 56;
    private const uint LoadSegment = 1;
    private const uint DynamicSegment = 2;
    private const long TagStringTable = 5;
    private const long TagVersionNeeds = 0x6ffffffe;
    private const ushort WeakFlag = 2;

    /// <summary>Marks a needed version as weak: the dynamic linker then loads the library even where the version is missing.</summary>
    /// <param name="image">The library's bytes; changed in place.</param>
    /// <param name="version">Such as "GLIBCXX_3.4.32".</param>
    /// <returns>Whether the library needs that version at all.</returns>
    /// <exception cref="InvalidDataException">The bytes are not such a library, or its tables point outside it.</exception>
    public static bool Weaken(Span<byte> image, string version)
    {
        if (!At(image, 0, 20).StartsWith((ReadOnlySpan<byte>)[0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1]))
            throw new InvalidDataException("not a 64-bit little-endian ELF library");

        var strings = Dynamic(image, TagStringTable);
        for (var need = Dynamic(image, TagVersionNeeds); need >= 0;)
        {
            // Elf64_Verneed: u16 version, u16 count, u32 file name, u32 offset of the first Vernaux, u32 offset of the next Verneed
            var header = At(image, need, 16);
            var aux = need + U32(header, 8);
            for (var left = BinaryPrimitives.ReadUInt16LittleEndian(header[2..]); left > 0; left--)
            {
                // Elf64_Vernaux: u32 hash, u16 flags, u16 version index, u32 name, u32 offset of the next
                var entry = At(image, aux, 16);
                if (StringAt(image, strings + U32(entry, 8)) == version)
                {
                    var flags = BinaryPrimitives.ReadUInt16LittleEndian(entry[4..]);
                    BinaryPrimitives.WriteUInt16LittleEndian(entry[4..], (ushort)(flags | WeakFlag));
                    return true;
                }
                aux += U32(entry, 12);
            }
            var next = U32(header, 12);
            need = next == 0 ? -1 : need + next;
        }
        return false;
    }

    /// <summary>Where in the file a table of the dynamic segment lies; -1 if there is none.</summary>
    private static long Dynamic(Span<byte> image, long tag)
    {
        foreach (var (type, offset, _, size) in Segments(image))
        {
            if (type != DynamicSegment)
                continue;
            for (var entry = 0L; entry + 16 <= size; entry += 16)
                if (I64(At(image, offset + entry, 16), 0) == tag)
                    return FileOffset(image, I64(At(image, offset + entry, 16), 8));
        }
        return -1;
    }

    /// <summary>A virtual address, as a place in the file.</summary>
    private static long FileOffset(Span<byte> image, long address)
    {
        foreach (var (type, offset, start, size) in Segments(image))
            if (type == LoadSegment && address >= start && address - start < size)
                return offset + (address - start);
        throw new InvalidDataException($"address 0x{address:x} lies in no segment of the library");
    }

    private static List<(uint Type, long Offset, long Address, long FileSize)> Segments(Span<byte> image)
    {
        var header = At(image, 0, 64);
        var table = I64(header, 32);
        var count = BinaryPrimitives.ReadUInt16LittleEndian(header[56..]);
        var segments = new List<(uint, long, long, long)>(count);
        for (var i = 0; i < count; i++)
        {
            var entry = At(image, table + (long)i * ProgramHeaderSize, ProgramHeaderSize);
            segments.Add((U32(entry, 0), I64(entry, 8), I64(entry, 16), I64(entry, 32)));
        }
        return segments;
    }

    private static string StringAt(Span<byte> image, long offset)
    {
        var rest = image[(int)Checked(image, offset, 1)..];
        var end = rest.IndexOf((byte)0);
        return end < 0 ? throw new InvalidDataException("a name runs past the end of the library") : Encoding.ASCII.GetString(rest[..end]);
    }

    private static Span<byte> At(Span<byte> image, long offset, int length) => image.Slice((int)Checked(image, offset, length), length);

    private static long Checked(Span<byte> image, long offset, int length) =>
        offset >= 0 && offset <= image.Length - length
            ? offset
            : throw new InvalidDataException($"a table of the library points to byte {offset} of {image.Length}");

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static long I64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);
}
