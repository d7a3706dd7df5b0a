using System.Text;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Data.Tests.SentencePiece;

/// <summary>Lines of text made to find an encoder's mistakes: pieces side by side, every plane of Unicode, unpaired surrogates, runs of spaces and of one letter.</summary>
internal sealed class RandomText(Vocabulary vocabulary, int seed)
{
    private const string Awkward = "  \t\r\0\u2581\u2581\u00A0\u3000aAeE019.,!'\"-<>x\u00e9\u0301\u4e16\u30ab\uFEFF\uFFFD\u200d\uD83D\uDE00\uD800\uDFFF";

    private readonly Random _random = new(seed);

    /// <summary>A line without a line feed; it may be empty.</summary>
    public string Line()
    {
        var line = new StringBuilder();
        for (var parts = _random.Next(0, 8); parts > 0; parts--)
            AddPart(line);
        return line.Replace('\n', ' ').ToString();
    }

    private void AddPart(StringBuilder line)
    {
        switch (_random.Next(7))
        {
            case 0: line.Append(' ', _random.Next(1, 20)); break;
            case 1: line.Append(Awkward[_random.Next(Awkward.Length)], _random.Next(1, 40)); break;
            case 2: line.Append(char.ConvertFromUtf32(AnyCodePoint())); break;
            case 3: line.Append((char)_random.Next(0x10000)); break; // a surrogate without its other half, now and then
            case 4: line.Append(string.Concat(_random.GetItems(Awkward.AsSpan(), _random.Next(1, 10)))); break;
            default:
                for (var pieces = _random.Next(1, 6); pieces > 0; pieces--)
                    line.Append(vocabulary.Pieces[_random.Next(vocabulary.Count)]);
                break;
        }
    }

    private int AnyCodePoint()
    {
        var codePoint = (_random.Next(17) << 16) | _random.Next(0x10000);
        return codePoint is >= 0xD800 and <= 0xDFFF ? 0xFFFD : codePoint;
    }
}
