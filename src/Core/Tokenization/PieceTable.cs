namespace LlamaFullstack.Core.Tokenization;

/// <summary>Finds the id of a piece by its bytes. Open addressing over one flat table: no object for each piece, built in one pass.</summary>
internal sealed class PieceTable
{
    private readonly IReadOnlyList<Piece> _pieces;
    private readonly int[] _slots; // id + 1; 0 is empty
    private readonly int _mask;

    /// <summary>Indexes the pieces that may stand for text: not the marks, not the bytes. The first of two equal pieces wins.</summary>
    public PieceTable(IReadOnlyList<Piece> pieces)
    {
        _pieces = pieces;
        _slots = new int[System.Numerics.BitOperations.RoundUpToPowerOf2((uint)pieces.Count * 2 + 1)];
        _mask = _slots.Length - 1;
        for (var id = 0; id < pieces.Count; id++)
        {
            if (pieces[id].Type is not (PieceType.Normal or PieceType.UserDefined) || pieces[id].Text.IsEmpty)
                continue;
            var slot = FindSlot(pieces[id].Text.Span);
            if (_slots[slot] == 0)
                _slots[slot] = id + 1;
            LongestPiece = Math.Max(LongestPiece, pieces[id].Text.Length);
        }
    }

    /// <summary>Length in bytes of the longest piece: nothing longer needs to be looked up.</summary>
    public int LongestPiece { get; }

    /// <summary>The id of a piece, or -1.</summary>
    public int Find(ReadOnlySpan<byte> text) => text.Length > LongestPiece ? -1 : _slots[FindSlot(text)] - 1;

    /// <summary>The score of a piece.</summary>
    public float Score(int id) => _pieces[id].Score;

    private int FindSlot(ReadOnlySpan<byte> text)
    {
        var slot = (int)Hash(text) & _mask;
        while (_slots[slot] != 0 && !_pieces[_slots[slot] - 1].Text.Span.SequenceEqual(text))
            slot = (slot + 1) & _mask;
        return slot;
    }

    // FNV-1a with a final mix, since linear probing wants the low bits well spread.
    private static uint Hash(ReadOnlySpan<byte> text)
    {
        var hash = 2166136261u;
        foreach (var b in text)
            hash = (hash ^ b) * 16777619u;
        return hash ^ (hash >> 15);
    }
}
