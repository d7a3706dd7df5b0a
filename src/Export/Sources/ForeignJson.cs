using System.Buffers;
using System.Text.Json;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export.Sources;

/// <summary>An object in a JSON file of another project: its fields as what they should be, or one line that names the field.</summary>
internal sealed class ForeignJson
{
    // A configuration has 1 KB.
    private const long DefaultMaxLength = 1 << 20;

    private static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    private readonly string _path;

    private ForeignJson(string path, JsonElement root) => (_path, Root) = (path, root);

    /// <summary>The object.</summary>
    public JsonElement Root { get; }

    /// <summary>Reads a file whose root is an object.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is too long, or not JSON, or names a field twice.</exception>
    public static ForeignJson Read(string path, long maxLength = DefaultMaxLength)
    {
        using var file = InputFile.Open(path, out var length);
        if (length > maxLength)
            throw new InvalidDataException($"{path}: {length:N0} bytes long, expected at most {maxLength:N0}.");
        var bytes = new byte[length];
        InputFile.Read(file, path, 0, bytes);
        var utf8 = bytes.AsMemory(bytes.AsSpan().StartsWith(ByteOrderMark) ? ByteOrderMark.Length : 0);
        try
        {
            CheckTexts(utf8.Span);
            var document = JsonDocument.Parse(utf8, new JsonDocumentOptions { AllowDuplicateProperties = false });
            return document.RootElement.ValueKind == JsonValueKind.Object ? new ForeignJson(path, document.RootElement) : throw new JsonException("not an object");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new InvalidDataException($"{path}: not the JSON that was expected: {PlainText.Quote(e)}.");
        }
    }

    // A text that is not UTF-8, or has half of a surrogate pair, would throw only once somebody asks for it.
    private static void CheckTexts(ReadOnlySpan<byte> utf8)
    {
        var json = new Utf8JsonReader(utf8);
        var text = ArrayPool<char>.Shared.Rent(utf8.Length);
        while (json.Read())
            if (json.TokenType is JsonTokenType.String or JsonTokenType.PropertyName)
                json.CopyString(text);
        ArrayPool<char>.Shared.Return(text);
    }

    /// <summary>A field; null where there is none, or it is null.</summary>
    public JsonElement? Find(string name) =>
        Root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>A field that is an object itself; null where there is none, or it is null.</summary>
    public ForeignJson? Object(string name) => Find(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Object } value => new ForeignJson(_path, value),
        { } other => throw Bad($"{name} {PlainText.Quote(other.ToString())} is not an object"),
    };

    /// <summary>The elements of a field that is an array; none where there is none, or it is null.</summary>
    public IEnumerable<JsonElement> Elements(string name) => Find(name) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Array } array => array.EnumerateArray(),
        _ => throw Bad($"{name} is not an array"),
    };

    /// <summary>Those elements as objects.</summary>
    public IEnumerable<ForeignJson> Objects(string name) =>
        Elements(name).Select(element => element.ValueKind == JsonValueKind.Object ? new ForeignJson(_path, element) : throw Bad($"{name} holds what is not an object"));

    /// <summary>A field as text, whatever it is.</summary>
    public string Text(string name, string missing = "") => Find(name)?.ToString() ?? missing;

    /// <summary>Whether a field is there and true.</summary>
    public bool Flag(string name) => Find(name) is { ValueKind: JsonValueKind.True };

    /// <summary>A whole number that must be there.</summary>
    public int Number(string name) => Find(name) is null ? throw Bad($"has no {name}") : Number(name, 0);

    /// <summary>A whole number.</summary>
    public int Number(string name, int missing) => Find(name) switch
    {
        null => missing,
        { ValueKind: JsonValueKind.Number } value when value.TryGetInt32(out var number) => number,
        { } value => throw Bad($"{name} {PlainText.Quote(value.ToString())} is not a whole number"),
    };

    /// <summary>A number.</summary>
    public double Fraction(string name, double missing) => Find(name) switch
    {
        null => missing,
        { ValueKind: JsonValueKind.Number } value => value.GetDouble(),
        { } value => throw Bad($"{name} {PlainText.Quote(value.ToString())} is not a number"),
    };

    /// <summary>Throws if one of these fields is set: each changes what a model says, and none is supported.</summary>
    public void Refuse(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
            if (Find(name) is { ValueKind: not JsonValueKind.False })
                throw Bad($"{name} is set, which is not supported");
    }

    /// <summary>The error that a file is not what it should be.</summary>
    public InvalidDataException Bad(string problem) => new($"{_path}: {problem}.");
}
