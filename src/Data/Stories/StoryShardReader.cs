// Reads a shard of stories: a JSON array of objects, each with its text under "story". The shard is never in memory as a
// whole: a window slides over the file, and it grows only where one JSON string does not fit it.

using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace LlamaFullstack.Data.Stories;

/// <summary>Reads the stories of one shard in order, in bounded memory.</summary>
/// <remarks>
/// <code>
/// using var reader = StoryShardReader.Open("data/TinyStories_all_data/data00.json");
/// while (reader.Read())
///     Use(reader.Story);
/// </code>
/// Everything in an item but its "story" is skipped; of two, the last counts, as in Python.
/// </remarks>
public sealed class StoryShardReader : IDisposable
{
    private const int FirstWindow = 1 << 17;

    // Nothing beyond this is a story; without a limit, a file with one endless string would take all memory.
    private const int LargestWindow = 1 << 30;

    private readonly Stream _file;
    private readonly string _name;
    private byte[] _window = new byte[FirstWindow];
    private int _start;             // first byte of the window that is not consumed yet
    private int _end;               // end of what was read into the window
    private long _windowOffset;     // offset of the window in the file
    private bool _fileEnded;
    private JsonReaderState _json;
    private bool _storyFollows;     // the last token was the name "story" of an item
    private bool _hasStory;
    private byte[] _text = new byte[4096];
    private ReadOnlyMemory<byte> _story;

    /// <summary>Reads a shard from a stream, which is disposed with the reader.</summary>
    /// <param name="json">The shard's JSON in UTF-8.</param>
    /// <param name="name">What error messages call it.</param>
    public StoryShardReader(Stream json, string name)
    {
        _file = json;
        _name = name;
    }

    /// <summary>Opens a shard.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static StoryShardReader Open(string path) =>
        new(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan), path);

    /// <summary>
    /// The text of the current story in UTF-8, without whitespace at its ends; valid until the next <see cref="Read"/>.
    /// A lone surrogate, which JSON can escape but UTF-8 cannot hold, reads as U+FFFD.
    /// </summary>
    public ReadOnlySpan<byte> Story => _story.Span;

    /// <summary>Index of the current story in the shard; -1 before the first.</summary>
    public int Index { get; private set; } = -1;

    /// <summary>Bytes of the file consumed so far, for progress.</summary>
    public long Position => _windowOffset + _start;

    /// <summary>Goes to the next story.</summary>
    /// <returns>False when there is none.</returns>
    /// <exception cref="InvalidDataException">The file is not such a JSON array; the message names the file and the byte.</exception>
    public bool Read()
    {
        if (_windowOffset + _end == 0)
            Begin();
        while (true)
        {
            var json = new Utf8JsonReader(_window.AsSpan(_start.._end), _fileEnded, _json);
            bool found;
            try
            {
                found = FindStory(ref json);
            }
            catch (JsonException error)
            {
                var reason = error.Message.Split(" LineNumber:")[0];
                throw Bad(json, $"not valid JSON: {reason} Was the file cut short? Download or make it again.");
            }
            _start += (int)json.BytesConsumed;
            _json = json.CurrentState;
            if (found || _fileEnded)
                return found;
            Refill();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>Reads tokens to the end of the next item, or to the end of the window.</summary>
    private bool FindStory(ref Utf8JsonReader json)
    {
        while (json.Read())
        {
            var isStory = _storyFollows;
            _storyFollows = false;
            switch (json.CurrentDepth, json.TokenType)
            {
                case (0, JsonTokenType.StartArray or JsonTokenType.EndArray):
                    break;
                case (0, _):
                    throw Bad(json, "expected a JSON array of stories.");
                case (1, JsonTokenType.StartObject):
                    _hasStory = false;
                    Index++;
                    break;
                case (1, JsonTokenType.EndObject):
                    return _hasStory ? true : throw Bad(json, $"item {Index} has no \"story\".");
                case (1, _):
                    throw Bad(json, $"expected an object with a \"story\" after item {Index}, found {json.TokenType}.");
                case (2, JsonTokenType.PropertyName):
                    _storyFollows = json.ValueTextEquals("story"u8);
                    break;
                case (2, JsonTokenType.String) when isStory:
                    TakeStory(ref json);
                    break;
                case (2, _) when isStory:
                    throw Bad(json, $"the \"story\" of item {Index} is not text but {json.TokenType}.");
                default:
                    break;      // the item's other values, at any depth
            }
        }
        return false;
    }

    private void TakeStory(ref Utf8JsonReader json)
    {
        var raw = json.ValueSpan;
        if (!Utf8.IsValid(raw))
            throw Bad(json, $"the \"story\" of item {Index} is not valid UTF-8.");
        if (_text.Length < raw.Length)
            _text = new byte[Math.Max(raw.Length, 2 * _text.Length)];
        _story = StoryText.Strip(_text.AsMemory(0, Unescape(raw, _text)));
        _hasStory = true;
    }

    /// <summary>Writes a JSON string, whose escapes the JSON reader has checked, as plain text; returns the text's length.</summary>
    private static int Unescape(ReadOnlySpan<byte> json, Span<byte> text)
    {
        var length = 0;
        while (true)
        {
            var plain = json.IndexOf((byte)'\\');
            if (plain < 0)
            {
                json.CopyTo(text[length..]);
                return length + json.Length;
            }
            json[..plain].CopyTo(text[length..]);
            length += plain;
            var escape = json[plain + 1];
            json = json[(plain + 2)..];
            if (escape == 'u')
                length += TakeCodePoint(ref json).EncodeToUtf8(text[length..]);
            else
                text[length++] = escape switch
                {
                    (byte)'b' => (byte)'\b',
                    (byte)'f' => (byte)'\f',
                    (byte)'n' => (byte)'\n',
                    (byte)'r' => (byte)'\r',
                    (byte)'t' => (byte)'\t',
                    _ => escape,
                };
        }
    }

    /// <summary>Takes the four digits after \u, and the whole second escape where both make a surrogate pair.</summary>
    private static Rune TakeCodePoint(ref ReadOnlySpan<byte> json)
    {
        var unit = CodeUnit(json);
        json = json[4..];
        if (char.IsHighSurrogate(unit) && json.StartsWith("\\u"u8) && Rune.TryCreate(unit, CodeUnit(json[2..]), out var pair))
        {
            json = json[6..];
            return pair;
        }
        return Rune.TryCreate(unit, out var rune) ? rune : Rune.ReplacementChar;
    }

    private static char CodeUnit(ReadOnlySpan<byte> json) =>
        (char)ushort.Parse(json[..4], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    private void Begin()
    {
        Refill();
        if (_window.AsSpan(0, _end).StartsWith(Encoding.UTF8.Preamble))
            _start = Encoding.UTF8.Preamble.Length;
    }

    /// <summary>Slides the window to the first byte not consumed, and reads until it is full or the file has ended.</summary>
    private void Refill()
    {
        var rest = _end - _start;
        if (rest == LargestWindow)
            throw new InvalidDataException($"{_name}: a JSON string of over {LargestWindow:N0} bytes at byte {Position:N0}. This is not a shard of stories.");
        var window = rest <= _window.Length / 2 ? _window : new byte[2 * _window.Length];
        _window.AsSpan(_start, rest).CopyTo(window);
        _window = window;
        _windowOffset += _start;
        _start = 0;
        var read = _file.ReadAtLeast(window.AsSpan(rest), window.Length - rest, throwOnEndOfStream: false);
        _end = rest + read;
        _fileEnded = _end < window.Length;
    }

    private InvalidDataException Bad(in Utf8JsonReader json, string what) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{_name}: byte {Position + json.BytesConsumed:N0}: {what}"));
}
