namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>The code points of a word's key: valid UTF-8, in which a space stands for U+2581.</summary>
internal ref struct WordCharacters(ReadOnlySpan<byte> key)
{
    private ReadOnlySpan<byte> _rest = key;

    public int Current { get; private set; }

    public readonly WordCharacters GetEnumerator() => this;

    public bool MoveNext()
    {
        if (_rest.IsEmpty)
            return false;
        var first = _rest[0];
        var length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        Current = length switch
        {
            1 => first == ' ' ? Alphabet.Space : first,
            2 => ((first & 0x1F) << 6) | (_rest[1] & 0x3F),
            3 => ((first & 0x0F) << 12) | ((_rest[1] & 0x3F) << 6) | (_rest[2] & 0x3F),
            _ => ((first & 0x07) << 18) | ((_rest[1] & 0x3F) << 12) | ((_rest[2] & 0x3F) << 6) | (_rest[3] & 0x3F),
        };
        _rest = _rest[length..];
        return true;
    }
}
