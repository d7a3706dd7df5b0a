using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>Finds the id and the score of a piece by its bytes: open addressing over a flat array, filled in one pass.</summary>
internal sealed class PieceTable
{
    /// <summary>What <see cref="Find(ReadOnlySpan{byte})"/> gives for a text that is no piece.</summary>
    public const int None = -1;

    private readonly PieceList _pieces;
    private readonly int[] _slots; // id + 1; 0 is empty
    private readonly int _mask;
    private readonly int[] _ascii = new int[128];
    private readonly int _longestPiece;
    private UnionFilter? _filter;

    /// <summary>
    /// Indexes the pieces that may stand for text: not the marks, not the bytes, and not the unknown piece, whatever its type says. The first of two equal pieces wins.
    /// </summary>
    public PieceTable(PieceList pieces)
    {
        _pieces = pieces;
        _slots = new int[System.Numerics.BitOperations.RoundUpToPowerOf2(((uint)pieces.Count * 2) + 1)];
        _mask = _slots.Length - 1;
        for (var id = Vocabulary.Unk + 1; id < pieces.Count; id++)
        {
            var text = pieces.Text(id);
            if (pieces.Type(id) is not (PieceType.Normal or PieceType.UserDefined) || text.IsEmpty)
                continue;
            var slot = FindSlot(text);
            if (_slots[slot] == 0)
                _slots[slot] = id + 1;
            _longestPiece = Math.Max(_longestPiece, text.Length);
        }
        for (var character = 0; character < _ascii.Length; character++)
            _ascii[character] = Find([(byte)character]);
    }

    /// <summary>All pieces, the marks and the bytes included.</summary>
    public PieceList Pieces => _pieces;

    /// <summary>
    /// What finds most unions that are none; built when it is first asked for, by some thread. It cuts each piece everywhere, so where there are pieces of a
    /// kilobyte it finds none.
    /// </summary>
    public UnionFilter Filter => LazyInitializer.EnsureInitialized(ref _filter, () => _longestPiece < 1024 ? new UnionFilter(this) : UnionFilter.Open);

    /// <summary>The id of a piece, or <see cref="None"/>.</summary>
    public int Find(ReadOnlySpan<byte> text) => text.Length > _longestPiece ? None : _slots[FindSlot(text)] - 1;

    /// <summary>The id of the character in front of a text, or <see cref="None"/>; a byte that begins no UTF-8 character stands for itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int FindCharacter(ReadOnlySpan<byte> text, out int length)
    {
        length = 1;
        if (text[0] < _ascii.Length)
            return _ascii[text[0]];
        if (Rune.DecodeFromUtf8(text, out _, out var consumed) == OperationStatus.Done)
            length = consumed;
        return Find(text[..length]);
    }

    /// <summary>The place of a piece in the order of merges: the better its score, the smaller the number; equal scores give equal numbers.</summary>
    public uint Rank(int id) => RankOf(_pieces.Score(id));

    // The bits of a float, so that they sort downwards. Adding 0 makes one number of 0 and -0, which are equal scores.
    private static uint RankOf(float score)
    {
        var bits = BitConverter.SingleToUInt32Bits(score + 0f);
        return (bits & 0x80000000) != 0 ? bits : ~(bits | 0x80000000);
    }

    private int FindSlot(ReadOnlySpan<byte> text)
    {
        var slot = (int)Hash(text) & _mask;
        while (_slots[slot] != 0 && !_pieces.Text(_slots[slot] - 1).SequenceEqual(text))
            slot = (slot + 1) & _mask;
        return slot;
    }

    // Eight bytes at a time, the last eight overlapping; a folded 128-bit product spreads them over the low bits that choose the slot.
    private static ulong Hash(ReadOnlySpan<byte> text)
    {
        var hash = (ulong)text.Length;
        if (text.Length < sizeof(ulong))
        {
            var value = 0ul;
            foreach (var b in text)
                value = (value << 8) | b;
            return Mix(hash, value);
        }
        for (var at = 0; at < text.Length - sizeof(ulong); at += sizeof(ulong))
            hash = Mix(hash, BinaryPrimitives.ReadUInt64LittleEndian(text[at..]));
        return Mix(hash, BinaryPrimitives.ReadUInt64LittleEndian(text[^sizeof(ulong)..]));
    }

    private static ulong Mix(ulong a, ulong b)
    {
        var high = Math.BigMul(a ^ 0x9E3779B97F4A7C15, b ^ 0xD1B54A32D192ED03, out var low);
        return high ^ low;
    }
}
