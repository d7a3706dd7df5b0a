namespace LlamaFullstack.Core.Tokenization;

/// <summary>Which byte may follow which inside a piece. Between two that never do, no merge can ever reach across.</summary>
/// <remarks>
/// So the text may be cut there and the parts encoded by themselves, with exactly the ids of the whole: in every usual vocabulary that is
/// before each word, since no piece has a letter and then a space. Derived from the pieces, so it holds for any vocabulary.
/// </remarks>
internal sealed class JoinTable
{
    private readonly ulong[] _joins = new ulong[256 * 256 / 64];

    /// <summary>Notes every two neighbours in every piece.</summary>
    public JoinTable(PieceList pieces)
    {
        for (var id = 0; id < pieces.Count; id++)
        {
            var text = pieces.Text(id);
            for (var i = 1; i < text.Length; i++)
            {
                var pair = (text[i - 1] << 8) | text[i];
                _joins[pair >> 6] |= 1ul << (pair & 63);
            }
        }
        AreWordsSeparate = true;
        for (var b = 0; b < 256; b++)
            AreWordsSeparate &= b == ' ' || !Join((byte)b, (byte)' ');
    }

    /// <summary>Whether text may be cut before every space that follows another character.</summary>
    public bool AreWordsSeparate { get; }

    /// <summary>The first place from <paramref name="start"/> on where a text may be cut, or its end. Never inside a character.</summary>
    public int NextCut(ReadOnlySpan<byte> text, int start)
    {
        for (var end = start; end < text.Length; end++)
        {
            var isContinuation = (text[end] & 0xC0) == 0x80;
            if (!isContinuation && !Join(text[end - 1], text[end]))
                return end;
        }
        return text.Length;
    }

    private bool Join(byte left, byte right)
    {
        var pair = (left << 8) | right;
        return (_joins[pair >> 6] >> (pair & 63) & 1) != 0;
    }
}
