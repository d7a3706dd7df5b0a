using System.Text;

namespace LlamaFullstack.Data.Tests.Stories;

/// <summary>Arrays of items as files of stories hold them, in ASCII; half of them with one sign wrong, which may make them no JSON.</summary>
internal sealed class RandomJson(int seed)
{
    private const string Signs = "\"\\{}[],: \n\tun0a/\u0001";

    private static readonly string[] Names = ["story", "story", "source", "st\\u006fry", "words", ""];
    private static readonly string[] Parts =
        ["Once upon a time ", "there was a girl. ", "\\n", "\\\"", "\\\\", "\\/", "\\b\\f\\r\\t", "\\u201c", "\\u00E9", "x", "{", "]"];

    private readonly Random _random = new(seed);
    private readonly StringBuilder _json = new();

    public string Text()
    {
        Between('[', ']', _random.Next(4), Item);
        _json.Append(' ', 2 * 32); // so that no item is too near to the end for the scanner
        if (_random.Next(2) == 0)
            Spoil();
        return _json.ToString();
    }

    private void Item() => Between('{', '}', 1 + _random.Next(3), Field);

    private void Field()
    {
        var name = Names[_random.Next(Names.Length)];
        _json.Append('"').Append(name).Append('"');
        Space();
        _json.Append(':');
        Space();
        if (name.StartsWith("st", StringComparison.Ordinal) && _random.Next(20) > 0)
            String();
        else
            Value(3);
    }

    private void Value(int nesting)
    {
        switch (_random.Next(nesting == 0 ? 3 : 6))
        {
            case 0 or 1: String(); break;
            case 2: _json.Append(_random.Next(2) == 0 ? "null" : "-1.5e3"); break;
            case 3 or 4: Between('[', ']', _random.Next(3), () => Value(nesting - 1)); break;
            default: Item(); break;
        }
    }

    private void String()
    {
        _json.Append('"');
        for (var parts = _random.Next(8); parts > 0; parts--)
            _json.Append(Parts[_random.Next(Parts.Length)]);
        _json.Append('"');
    }

    private void Between(char open, char close, int count, Action part)
    {
        _json.Append(open);
        for (var i = 0; i < count; i++)
        {
            Space();
            part();
            Space();
            if (i + 1 < count)
                _json.Append(',');
        }
        Space();
        _json.Append(close);
    }

    private void Space() => _json.Append(_random.Next(4) switch { 0 => " ", 1 => "\r\n\t", _ => "" });

    private void Spoil()
    {
        var at = _random.Next(_json.Length - (2 * 32));
        if (_random.Next(2) == 0)
            _json.Remove(at, 1);
        if (_random.Next(2) == 0)
            _json.Insert(at, Signs[_random.Next(Signs.Length)]);
    }
}
