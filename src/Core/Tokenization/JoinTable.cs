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
    public JoinTable(IReadOnlyList<Piece> pieces)
    {
        foreach (var piece in pieces)
        {
            var text = piece.Text.Span;
            for (var i = 1; i < text.Length; i++)
            {
                var pair = text[i - 1] << 8 | text[i];
                _joins[pair >> 6] |= 1ul << (pair & 63);
            }
        }
    }

    /// <summary>Length of the stretch at the beginning of a text that must be encoded as one; never ends inside a character.</summary>
    public int StretchLength(ReadOnlySpan<byte> text)
    {
        var end = 1;
        for (; end < text.Length; end++)
        {
            var pair = text[end - 1] << 8 | text[end];
            var isContinuation = (text[end] & 0xC0) == 0x80;
            if ((_joins[pair >> 6] >> (pair & 63) & 1) == 0 && !isContinuation)
                break;
        }
        return end;
    }
}
