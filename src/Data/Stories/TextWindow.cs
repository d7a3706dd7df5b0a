// A window that slides over a file of text. It grows only where something that must be seen as a whole does not fit it, so that a file
// of any size is read in little memory.

using System.Text;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Data.Stories;

/// <summary>The bytes of a text file that are being looked at; a .gz file is unpacked on the way.</summary>
internal sealed class TextWindow : IDisposable
{
    private const int FirstSize = 1 << 17;

    // Nothing beyond this is a story; without a limit, a file with one endless string would take all memory.
    private const int LargestSize = 1 << 28;

    private readonly Stream _file;
    private readonly WholeGZipStream? _unpacked;
    private byte[] _bytes = new byte[FirstSize];
    private int _start;             // first byte of the window that is not consumed yet
    private int _end;               // end of what was read into the window
    private long _offset;           // offset of the window in the text

    /// <summary>Looks at the beginning of a stream, which is disposed with the window. A byte order mark is skipped.</summary>
    public TextWindow(Stream file, string name, bool isGZip = false)
    {
        _file = file;
        Name = name;
        _unpacked = isGZip ? new WholeGZipStream(file) : null;
    }

    /// <summary>Opens a file; one whose name ends with .gz is unpacked.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static TextWindow Open(string path) => new(
        new FileStream(InputFile.Open(path, FileOptions.SequentialScan), FileAccess.Read, bufferSize: 0),
        path, path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase));

    /// <summary>What messages call the file.</summary>
    public string Name { get; }

    /// <summary>What was read and is not consumed.</summary>
    public ReadOnlyMemory<byte> Rest => _bytes.AsMemory(_start.._end);

    /// <summary>Whether <see cref="Rest"/> goes to the end of the text.</summary>
    public bool HasEnded { get; private set; }

    /// <summary>Offset of <see cref="Rest"/> in the text.</summary>
    public long Offset => _offset + _start;

    /// <summary>Bytes of the file that are done, for progress.</summary>
    public long FilePosition => _unpacked is null ? Offset : _file.Position;

    /// <summary>Whether anything was read yet.</summary>
    public bool HasBegun => _offset + _end > 0 || HasEnded;

    /// <summary>Leaves bytes at the beginning of <see cref="Rest"/> behind.</summary>
    public void Consume(int count) => _start += count;

    /// <summary>Slides to the first byte not consumed, and reads until the window is full or the text has ended.</summary>
    /// <exception cref="InvalidDataException">The window would become too large, the .gz file is damaged, or the text is UTF-16 or UTF-32.</exception>
    public void Fill()
    {
        var isFirst = !HasBegun;
        var rest = _end - _start;
        if (rest == LargestSize)
            throw new InvalidDataException($"{Name}: a story of over {LargestSize:N0} bytes at byte {Offset:N0}. Is this a file of stories, and do you name the right separator?");
        var bytes = rest <= _bytes.Length / 2 ? _bytes : new byte[2 * _bytes.Length];
        _bytes.AsSpan(_start, rest).CopyTo(bytes);
        _bytes = bytes;
        _offset += _start;
        _start = 0;
        _end = rest + Read(bytes.AsSpan(rest));
        HasEnded = _end < bytes.Length;
        if (!isFirst)
            return;
        var other = Rest.Span.StartsWith(Encoding.UTF32.Preamble) ? "UTF-32"      // first: it begins as UTF-16 does
            : Rest.Span.StartsWith(Encoding.Unicode.Preamble) || Rest.Span.StartsWith(Encoding.BigEndianUnicode.Preamble) ? "UTF-16"
            : null;
        if (other is not null)
            throw new InvalidDataException($"{Name}: is {other}, expected UTF-8. Convert it first (iconv -f {other} -t UTF-8).");
        if (Rest.Span.StartsWith(Encoding.UTF8.Preamble))
            Consume(Encoding.UTF8.Preamble.Length);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _unpacked?.Dispose();
        _file.Dispose();
    }

    private int Read(Span<byte> bytes)
    {
        try
        {
            return (_unpacked ?? _file).ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"{Name}: not a whole .gz file ({e.Message.TrimEnd('.')}). Download or make it again, or unpack it first (gunzip).", e);
        }
    }
}
