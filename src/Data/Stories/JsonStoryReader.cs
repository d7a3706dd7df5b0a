// Reads stories from JSON: an array of objects, or one object after the other (JSON Lines), each with its text under a name of choice.
// The file is never in memory as a whole: a window slides over it.

using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace LlamaFullstack.Data.Stories;

/// <summary>Reads the stories of a .json or .jsonl file, in memory that grows with the longest string alone.</summary>
/// <remarks>
/// Everything in an item but its text is skipped; of two texts, the last counts, as in Python. A lone surrogate, which JSON can
/// escape but UTF-8 cannot hold, reads as U+FFFD.
/// </remarks>
public sealed class JsonStoryReader : StoryReader
{
    /// <summary>The name of the text in TinyStories, and in .json where no other is given.</summary>
    public const string DefaultColumn = "story";

    /// <summary>The name of the text in most published .jsonl files, and here where no other is given.</summary>
    public const string DefaultLinesColumn = "text";

    private readonly TextWindow _window;
    private readonly string _column;
    private readonly byte[] _columnName;
    private readonly int _depth;    // of the items: 1 in an array, 0 without one
    private JsonReaderState _json;
    private bool _storyFollows;     // the last token was the text's name, in an item
    private bool _hasStory;
    private bool _isAfterItem;      // of what comes next, as System.Text.Json knows it: its state is the same after each item
    private byte[] _text = new byte[4096];
    private ReadOnlyMemory<byte> _story;

    /// <summary>Reads JSON from a stream, which is disposed with the reader.</summary>
    /// <param name="json">UTF-8, with or without a byte order mark.</param>
    /// <param name="name">What error messages call it.</param>
    /// <param name="column">The name of the text in an item.</param>
    /// <param name="lines">Whether the items follow each other (.jsonl) instead of being in an array (.json).</param>
    public JsonStoryReader(Stream json, string name, string column = DefaultColumn, bool lines = false) : this(new TextWindow(json, name), column, lines)
    {
    }

    private JsonStoryReader(TextWindow window, string column, bool lines)
    {
        _window = window;
        _column = column;
        _columnName = Encoding.UTF8.GetBytes(column);
        _depth = lines ? 0 : 1;
        _json = new JsonReaderState(new JsonReaderOptions { AllowMultipleValues = lines });
    }

    /// <summary>Opens a .json or .jsonl file, or one of them in a .gz.</summary>
    /// <inheritdoc cref="JsonStoryReader(Stream, string, string, bool)" path="/param"/>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static JsonStoryReader Open(string path, string column = DefaultColumn, bool lines = false) => new(TextWindow.Open(path), column, lines);

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Story => _story.Span;

    /// <summary>Index of the current story in the file; -1 before the first.</summary>
    public int Index { get; private set; } = -1;

    /// <inheritdoc/>
    public override long Position => _window.FilePosition;

    /// <inheritdoc/>
    public override bool Read()
    {
        if (!_window.HasBegun)
            _window.Fill();
        while (true)
        {
            if (_isAfterItem && TryReadPlainItem())
                return true;
            var json = new Utf8JsonReader(_window.Rest.Span, _window.HasEnded, _json);
            try
            {
                _isAfterItem = FindStory(ref json);
            }
            catch (JsonException error)
            {
                var reason = error.Message.Split(" LineNumber:")[0];
                throw Bad(json, $"not valid JSON: {reason} Was the file cut short? Download or make it again.");
            }
            _window.Consume((int)json.BytesConsumed);
            _json = json.CurrentState;
            if (_isAfterItem || _window.HasEnded)
                return _isAfterItem;
            _window.Fill();
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _window.Dispose();

    /// <summary>Reads the next item where it is of the usual form and whole in the window. All others are System.Text.Json's.</summary>
    private bool TryReadPlainItem()
    {
        var item = new JsonItemScanner(_window.Rest.Span);
        if (!item.TryTakeItem(afterItem: _depth == 1, _columnName, out var text) || !Utf8.IsValid(text))
            return false;
        SetStory(text);
        Index++;
        _window.Consume(item.Offset);
        return true;
    }

    /// <summary>Reads tokens to the end of the next item, or to the end of the window.</summary>
    private bool FindStory(ref Utf8JsonReader json)
    {
        while (json.Read())
        {
            var isStory = _storyFollows;
            _storyFollows = false;
            switch (json.CurrentDepth - _depth, json.TokenType)
            {
                case (-1, JsonTokenType.StartArray or JsonTokenType.EndArray):
                    break;
                case (-1, _):
                    throw Bad(json, "expected a JSON array of stories.");
                case (0, JsonTokenType.StartObject):
                    _hasStory = false;
                    Index++;
                    break;
                case (0, JsonTokenType.EndObject):
                    return _hasStory ? true : throw Bad(json, $"item {Index} has no \"{_column}\"; --text_column names the text.");
                case (0, _):
                    throw Bad(json, $"expected an object with a \"{_column}\" as item {Index + 1}, found {json.TokenType}.");
                case (1, JsonTokenType.PropertyName):
                    _storyFollows = json.ValueTextEquals(_columnName);
                    break;
                case (1, JsonTokenType.String) when isStory:
                    TakeStory(ref json);
                    break;
                case (1, _) when isStory:
                    throw Bad(json, $"the \"{_column}\" of item {Index} is not text but {json.TokenType}.");
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
            throw Bad(json, $"the \"{_column}\" of item {Index} is not valid UTF-8.");
        SetStory(raw);
        _hasStory = true;
    }

    private void SetStory(ReadOnlySpan<byte> raw)
    {
        if (_text.Length < raw.Length)
            _text = new byte[Math.Max(raw.Length, 2 * _text.Length)];
        _story = StoryText.Strip(_text.AsMemory(0, Unescape(raw, _text)));
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

    private InvalidDataException Bad(in Utf8JsonReader json, string what) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{_window.Name}: byte {_window.Offset + json.BytesConsumed:N0}: {what}"));
}
