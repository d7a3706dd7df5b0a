// Texts to learn vocabularies from, of the kinds in which a trainer can go wrong: small and large, tidy and not.
using System.Text;
using LlamaFullstack.Data.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.SentencePiece;

/// <summary>A text that follows from a seed; its kind is the seed's remainder.</summary>
internal sealed class RandomCorpus
{
    private static readonly string[] Names = ["English", "code", "Japanese", "digits", "long lines", "control characters", "many scripts", "few letters", "bytes"];

    // First and last code points of what "many scripts" are drawn from, combining marks among them.
    private static readonly (int First, int Last)[] Blocks =
    [
        (0x41, 0x7A), (0xC0, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x591, 0x5F4), (0x600, 0x6FF), (0x900, 0x97F), (0xE01, 0xE5B), (0x10A0, 0x10FF),
        (0x1200, 0x137F), (0x1F00, 0x1FFF), (0x2000, 0x206F), (0x2190, 0x21FF), (0x2580, 0x2584), (0x2600, 0x26FF), (0x3040, 0x30FF), (0x3400, 0x3450), (0x4E00, 0x4F00),
        (0xA490, 0xA4CF), (0xAC00, 0xAD00), (0xFF10, 0xFF5A), (0x10300, 0x1034A), (0x13000, 0x13050), (0x1F600, 0x1F64F), (0x20000, 0x20050),
    ];

    private readonly Random _random;
    private readonly List<byte> _text = [];
    private readonly string[] _words;
    private readonly int _kind;

    public RandomCorpus(int seed)
    {
        _random = new Random(seed);
        _kind = seed % Names.Length;
        _words = [.. Enumerable.Range(0, _random.Next(1, 3000)).Select(_ => Word())];
        var bytes = Math.Exp(_random.NextDouble() * Math.Log(3000)) * 100; // 100 bytes to 300 KB, the small ones as often as the large
        while (_text.Count < bytes)
            AddLine();
    }

    public string Name => Names[_kind];

    public byte[] Text => [.. _text];

    private void AddLine()
    {
        switch (Name)
        {
            case "bytes": // no UTF-8, line feeds among them
                var bytes = new byte[_random.Next(200)];
                _random.NextBytes(bytes);
                _text.AddRange(bytes);
                break;
            case "long lines": // about the longest that is looked at
                var length = VocabularyTrainerSettings.MaxLineBytes + _random.Next(-1, 2);
                var line = new StringBuilder();
                while (line.Length < length)
                    line.Append(Some()).Append(' ');
                Write(line.ToString(0, length));
                break;
            case "code":
                Write(new string(' ', 4 * _random.Next(4)) + string.Join(Pick(" ", "  ", "(", ", ", ".", " = "), Enumerable.Range(0, _random.Next(6)).Select(_ => Some())) + Pick(";", ")", " {", "\t// x", ""));
                break;
            default:
                Write(string.Join(_random.Next(40) == 0 ? "  " : " ", Enumerable.Range(0, _random.Next(30)).Select(_ => Some())) + Pick("", ".", "\r", " ", "\n\n"));
                break;
        }
        _text.Add((byte)'\n');
    }

    // Few words make up most of a text.
    private string Some() => _words[(int)Math.Exp(_random.NextDouble() * Math.Log(_words.Length))];

    private string Word() => Name switch
    {
        "code" => Letters("abcdefgijlnoprstuxy_ABT019", 1, 12),
        "Japanese" => Letters("のはをがにでたしいるなとかってここカーライトアーン日本人大小中学生年月。、「」A1１", 1, 9),
        "digits" => Letters("0123456789.,:-/％３７٣年", 1, 10),
        "control characters" => Pick(Letters("ab\t\0\u0001\u001B\u007F\u0085\u00A0\u2028\uFEFF\u3000\u2581", 1, 6), Letters("abc", 1, 4), "<s>", "</s>", "<unk>", "<0x0A>", "a<s>b"),
        "many scripts" => Script(),
        "few letters" => Letters(Pick("a", "ab", "aab-"), 1, 40),
        _ => Letters("eeeetttaaooinnsshhrrdlcumwfgypbvk'-", 1, 11),
    };

    private string Script()
    {
        var (first, last) = Blocks[_random.Next(Blocks.Length)];
        return string.Concat(Enumerable.Range(0, _random.Next(1, 7)).Select(_ =>
        {
            if (_random.Next(8) == 0)
                (first, last) = Blocks[_random.Next(Blocks.Length)];
            return char.ConvertFromUtf32(_random.Next(first, last + 1));
        }));
    }

    private string Letters(string from, int least, int most) => string.Concat(_random.GetItems(from.AsSpan(), _random.Next(least, most + 1)));

    private string Pick(params string[] from) => from[_random.Next(from.Length)];

    private void Write(string text) => _text.AddRange(Encoding.UTF8.GetBytes(text));
}
