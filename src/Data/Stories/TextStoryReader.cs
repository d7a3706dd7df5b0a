// Reads stories from plain text. A line of choice parts them; what is a line and what a story is decided here, and nowhere else.

using System.Globalization;
using System.Text;
using System.Text.Unicode;

namespace LlamaFullstack.Data.Stories;

/// <summary>Reads the stories of a .txt file, in memory that grows with the longest story alone.</summary>
/// <remarks>
/// A line ends with a line feed, with or without a carriage return before it; in a story it ends with a line feed. Stories of
/// nothing but white space are left out. All other characters, NUL too, stay as they are.
/// </remarks>
public sealed class TextStoryReader : StoryReader
{
    /// <summary>The separator that makes each line a story.</summary>
    public const string EachLine = "line";

    /// <summary>The separator that makes the whole file one story.</summary>
    public const string WholeFile = "none";

    /// <summary>The separator where stories are parted by an empty line, or one of white space.</summary>
    public const string BlankLine = "blank";

    /// <summary>The line that parts stories in many published texts: the separator where a file has one near its beginning.</summary>
    public const string EndOfText = "<|endoftext|>";

    private readonly TextWindow _window;
    private string? _separator;
    private byte[] _marker = [];
    private byte[] _unixText = [];      // a story without its carriage returns
    private ReadOnlyMemory<byte> _story;
    private int _pending;               // bytes of the window that the current story takes

    /// <summary>Reads text from a stream, which is disposed with the reader.</summary>
    /// <param name="text">UTF-8, with or without a byte order mark.</param>
    /// <param name="name">What error messages call it.</param>
    /// <param name="separator">
    /// The line that parts two stories, or <see cref="EachLine"/>, <see cref="BlankLine"/> or <see cref="WholeFile"/>. Null takes
    /// <see cref="EndOfText"/> where such a line is among the first 128 KB, else a blank line.
    /// </param>
    public TextStoryReader(Stream text, string name, string? separator = null) : this(new TextWindow(text, name), separator)
    {
    }

    private TextStoryReader(TextWindow window, string? separator) => (_window, _separator) = (window, separator);

    /// <summary>Opens a .txt or .txt.gz file.</summary>
    /// <inheritdoc cref="TextStoryReader(Stream, string, string?)" path="/param"/>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static TextStoryReader Open(string path, string? separator = null) => new(TextWindow.Open(path), separator);

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Story => _story.Span;

    /// <inheritdoc/>
    public override long Position => _window.FilePosition;

    /// <inheritdoc/>
    public override bool Read()
    {
        if (!_window.HasBegun)
            Begin();
        do
        {
            _window.Consume(_pending);
            _pending = 0;
            if (_window.HasEnded && _window.Rest.Length == 0)
                return false;
            TakeStory();
        }
        while (_story.Length == 0);
        return true;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _window.Dispose();

    private void Begin()
    {
        _window.Fill();
        _separator ??= HasLine(_window.Rest.Span, "<|endoftext|>"u8) ? EndOfText : BlankLine;
        _marker = Encoding.UTF8.GetBytes(_separator);
    }

    private static bool HasLine(ReadOnlySpan<byte> text, ReadOnlySpan<byte> line)
    {
        foreach (var range in text.Split((byte)'\n'))
            if (text[range].TrimEnd((byte)'\r').SequenceEqual(line))
                return true;
        return false;
    }

    /// <summary>Takes the lines up to the next separator, or to the end.</summary>
    private void TakeStory()
    {
        var line = 0;       // where the line begins, in the window
        var searched = 0;   // up to where there is no further line feed
        while (true)
        {
            var text = _window.Rest.Span;
            var feed = text[searched..].IndexOf((byte)'\n');
            if (feed < 0 && !_window.HasEnded)
            {
                searched = text.Length;
                _window.Fill();
                continue;
            }
            var end = feed < 0 ? text.Length : searched + feed;
            var next = feed < 0 ? text.Length : end + 1;
            if (Parts(text[line..end]))
            {
                SetStory(_separator == EachLine ? end : line);
                _pending = next;
                return;
            }
            if (next == text.Length && _window.HasEnded)
            {
                SetStory(text.Length);
                _pending = text.Length;
                return;
            }
            line = searched = next;
        }
    }

    private bool Parts(ReadOnlySpan<byte> line) => _separator switch
    {
        EachLine => true,
        WholeFile => false,
        BlankLine => line.Trim(" \t\r"u8).IsEmpty,
        _ => line.TrimEnd((byte)'\r').SequenceEqual(_marker),
    };

    private void SetStory(int length)
    {
        var text = _window.Rest[..length];
        if (!Utf8.IsValid(text.Span))
            throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture,
                $"{_window.Name}: the story at byte {_window.Offset:N0} is not valid UTF-8. Convert the file to UTF-8 (iconv -t UTF-8)."));
        _story = StoryText.Strip(text.Span.IndexOf("\r\n"u8) < 0 ? text : WithoutCarriageReturns(text.Span));
    }

    private ReadOnlyMemory<byte> WithoutCarriageReturns(ReadOnlySpan<byte> text)
    {
        if (_unixText.Length < text.Length)
            _unixText = new byte[Math.Max(text.Length, 2 * _unixText.Length)];
        var length = 0;
        while (true)
        {
            var end = text.IndexOf("\r\n"u8);
            var line = end < 0 ? text : text[..end];
            line.CopyTo(_unixText.AsSpan(length));
            length += line.Length;
            if (end < 0)
                return _unixText.AsMemory(0, length);
            _unixText[length++] = (byte)'\n';
            text = text[(end + 2)..];
        }
    }
}
