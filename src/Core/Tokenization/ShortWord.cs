using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>Byte pair encoding of a short stretch of text, a merge a call: all unions are looked at for the best, which is faster than a heap there.</summary>
/// <remarks>
/// Not for use by two threads at once. The larger functions are not inlined: in one of all of them the variables would go to the stack and back.
/// </remarks>
internal sealed class ShortWord(PieceTable table, UnionCache unions)
{
    /// <summary>The longest stretch, in bytes: the ranks of its unions are four registers of eight.</summary>
    public const int MaxBytes = 32;

    private const int BeforeFirst = MaxBytes + 1;

    // Both by the byte where a symbol starts. After the last one and before the first is Nothing.
    private readonly Symbol[] _symbols = new Symbol[MaxBytes + 2];
    private readonly uint[] _ranks = new uint[MaxBytes + 2]; // of the union with the next symbol; NoRank where no symbol starts

    private struct Symbol
    {
        public int Id; // PieceTable.None for a character that is no piece
        public int End; // where the next symbol starts
        public int Previous; // where the one before starts
        public int Union; // the id of what it makes with the next symbol, if that is a piece
    }

    /// <summary>Where the stretch starts in the text.</summary>
    public int Start { get; private set; }

    /// <summary>Its length in bytes.</summary>
    public int Length { get; private set; }

    /// <summary>Begins with the characters of a stretch of a text.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public void Begin(ReadOnlySpan<byte> text, int start, int length)
    {
        (Start, Length) = (start, length);
        ref var ranks = ref MemoryMarshal.GetArrayDataReference(_ranks);
        for (var at = 0; at < MaxBytes; at += Vector256<uint>.Count)
            Vector256.StoreUnsafe(Vector256<uint>.AllBitsSet, ref ranks, (nuint)at);

        At(BeforeFirst) = new Symbol { Id = UnionCache.Nothing };
        var previous = BeforeFirst;
        for (int at = 0, end; at < length; at = end)
        {
            var id = table.FindCharacter(text.Slice(start + at, length - at), out var bytes);
            end = at + bytes;
            At(at) = new Symbol { Id = id, End = end, Previous = previous };
            if (at > 0 && (text[start + at - 1] | text[start + at]) <= 0x7F)
                Note(previous, unions.FindAscii(text[start + at - 1], text[start + at]));
            else if (at > 0)
                NoteUnion(text, previous);
            previous = at;
        }
        At(length) = new Symbol { Id = UnionCache.Nothing, End = length, Previous = previous };
    }

    /// <summary>Merges the two symbols whose union is the best, the leftmost on ties.</summary>
    /// <returns>False if no two make one.</returns>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public bool TryMerge(ReadOnlySpan<byte> text)
    {
        if (!TryFindLeast(out var left))
            return false;
        ref var symbol = ref At(left);
        var right = symbol.End;
        var end = At(right).End;
        RankAt(right) = Union.NoRank;
        symbol.Id = symbol.Union;
        symbol.End = end;
        At(end).Previous = left;
        NoteUnion(text, left);
        NoteUnion(text, symbol.Previous);
        return true;
    }

    /// <summary>Writes the ids of the symbols.</summary>
    /// <param name="text">The text that the stretch is of.</param>
    /// <param name="ids">Receives the ids, one for each byte at most: a character that is no piece becomes its bytes.</param>
    /// <returns>Ids written.</returns>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public int Write(ReadOnlySpan<byte> text, Span<int> ids)
    {
        var written = 0;
        for (int at = 0, end; at < Length; at = end)
        {
            end = At(at).End;
            if (At(at).Id != PieceTable.None)
                ids[written++] = At(at).Id;
            else
                foreach (var b in text[(Start + at)..(Start + end)])
                    ids[written++] = Vocabulary.FirstByte + b;
        }
        return written;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void NoteUnion(ReadOnlySpan<byte> text, int at)
    {
        ref var symbol = ref At(at);
        ref var next = ref At(symbol.End);
        if (!unions.TryFind(symbol.Id, next.Id, out var union))
            union = Learn(text, at);
        Note(at, union);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Note(int at, Union union)
    {
        At(at).Union = union.Id;
        RankAt(at) = union.Rank;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private Union Learn(ReadOnlySpan<byte> text, int at)
    {
        var symbol = At(at);
        var next = At(symbol.End);
        return symbol.Id == UnionCache.Nothing || next.Id == UnionCache.Nothing
            ? Union.None
            : unions.Learn(symbol.Id, next.Id, text[(Start + at)..(Start + next.End)]);
    }

    // The place of the first of the least ranks, without a branch on any of them: which is the least cannot be foreseen.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TryFindLeast(out int place)
    {
        ref var ranks = ref MemoryMarshal.GetArrayDataReference(_ranks);
        var (a, b) = (Vector256.LoadUnsafe(ref ranks), Vector256.LoadUnsafe(ref ranks, 8));
        var (c, d) = (Vector256.LoadUnsafe(ref ranks, 16), Vector256.LoadUnsafe(ref ranks, 24));
        var eight = Vector256.Min(Vector256.Min(a, b), Vector256.Min(c, d));
        var four = Vector128.Min(eight.GetLower(), eight.GetUpper());
        var two = Vector128.Min(four, Vector128.Shuffle(four, Vector128.Create(2u, 3, 0, 1)));
        var one = Vector128.Min(two, Vector128.Shuffle(two, Vector128.Create(1u, 0, 3, 2)));
        var least = Vector256.Create(one, one);
        place = BitOperations.TrailingZeroCount(
            Vector256.Equals(a, least).ExtractMostSignificantBits() | Vector256.Equals(b, least).ExtractMostSignificantBits() << 8
            | Vector256.Equals(c, least).ExtractMostSignificantBits() << 16 | Vector256.Equals(d, least).ExtractMostSignificantBits() << 24);
        return one.ToScalar() != Union.NoRank;
    }

    // Places come from here alone, so none is out of range.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref Symbol At(int place) => ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_symbols), place);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref uint RankAt(int place) => ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(_ranks), place);
}
