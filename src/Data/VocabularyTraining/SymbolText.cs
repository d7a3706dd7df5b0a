// The text under training: every distinct word as a row of symbols, and where each pair of neighbours occurs.
using System.Runtime.InteropServices;
using System.Text;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>Words as symbols that merge step by step; a symbol is a character or a piece that was learned.</summary>
/// <remarks>
/// <para>
/// Cells: one for each character of each distinct word, and an end cell before, between and after the words, so that every symbol has
/// neighbours and nothing merges across. A symbol of n characters owns n cells: its number stands in the first and in the last of them, so
/// that both neighbours are found by lengths alone, and its first cell also names the pair that it makes with the symbol after it.
/// </para>
/// <para>
/// A pair of two given symbols can only come about in the step that made the younger one. So the list of a pair's occurrences is complete
/// once that step is over, its frequency only falls from then on, and within a step the neighbour alone identifies a new pair: no hash table.
/// </para>
/// </remarks>
internal sealed class SymbolText
{
    /// <summary>The longest text of a pair, in bytes of UTF-8.</summary>
    public const int MaxTextBytes = 4 * VocabularyTrainerSettings.MaxPieceCharacters;

    private const int End = 0; // the symbol around words: it makes no pair
    private const int NoPiece = 1; // the symbol of every character without a piece: it makes no pair either
    private const int FirstCharacter = 2;
    private const int NoPair = -1;
    private const int NotSeen = -2;

    // By symbol. Arrays, as all that the steps go through: of a list of such values each method would be compiled at every start, and be slow until then.
    private readonly PieceShape[] _shapes;
    private readonly byte[][] _texts;
    private int _symbols;
    private readonly CellCounts _counts = new();
    private readonly Cell[] _cells;
    private readonly List<int[]> _blocks = []; // of occurrences, each the first cell of a pair
    private readonly List<int> _neighboursSeen = [];
    private Found[] _found = new Found[1 << 10];
    private int _foundCount;
    private readonly int[] _pairWithLeft; // by symbol s: the pair (s, new symbol) of this step
    private readonly int[] _pairWithRight; // by symbol s: the pair (new symbol, s) of this step
    private Pair[] _pairs = new Pair[1 << 10];

    /// <summary>Lays the words out as characters and finds all pairs.</summary>
    /// <param name="words">The words.</param>
    /// <param name="alphabet">The characters that have a piece.</param>
    /// <param name="splitDigits">Whether digits never merge.</param>
    /// <param name="maxMerges">How many times <see cref="Merge"/> will be called at most.</param>
    public SymbolText(WordTable words, Alphabet alphabet, bool splitDigits, int maxMerges)
    {
        CharacterCount = alphabet.Characters.Count;
        var mostSymbols = FirstCharacter + CharacterCount + maxMerges;
        _shapes = new PieceShape[mostSymbols];
        _texts = new byte[mostSymbols][];
        AddSymbol(PieceShape.NeverJoined, []);
        AddSymbol(PieceShape.NeverJoined, []);
        foreach (var character in alphabet.Characters)
            AddSymbol(PieceShape.Of(character, splitDigits), Encoding.UTF8.GetBytes(char.ConvertFromUtf32(character)));
        _pairWithLeft = new int[mostSymbols];
        _pairWithRight = new int[mostSymbols];
        Array.Fill(_pairWithLeft, NotSeen);
        Array.Fill(_pairWithRight, NotSeen);

        _cells = LayOut(words, WordOrder.Of(words), alphabet);
        FindPairs();
    }

    /// <summary>Number of pairs that came about so far.</summary>
    public int PairCount { get; private set; }

    /// <summary>Number of different characters that have a piece.</summary>
    public int CharacterCount { get; }

    /// <summary>How often a pair occurs in the text now.</summary>
    public long Frequency(int pair) => _pairs[pair].Frequency;

    /// <summary>How many characters a pair has.</summary>
    public int Length(int pair) => _shapes[_pairs[pair].Left].Length + _shapes[_pairs[pair].Right].Length;

    /// <summary>Writes the text of a pair, in UTF-8 with U+2581 for a space, and returns its length in bytes.</summary>
    public int WriteText(int pair, Span<byte> target)
    {
        var left = _texts[_pairs[pair].Left];
        var right = _texts[_pairs[pair].Right];
        left.CopyTo(target);
        right.CopyTo(target[left.Length..]);
        return left.Length + right.Length;
    }

    /// <summary>The text of a pair, with U+2581 for a space.</summary>
    public string Text(int pair)
    {
        Span<byte> text = stackalloc byte[MaxTextBytes];
        return Encoding.UTF8.GetString(text[..WriteText(pair, text)]);
    }

    /// <summary>Makes a pair one symbol, everywhere, from left to right.</summary>
    /// <returns>The first pair that is new: they are numbered from there to <see cref="PairCount"/>.</returns>
    public int Merge(int pair)
    {
        var firstNew = PairCount;
        var merged = AddSymbol(pair);
        var leftLength = _shapes[_pairs[pair].Left].Length;
        var mergedLength = _shapes[merged].Length;
        foreach (var cell in Occurrences(pair))
        {
            if (_cells[cell].Pair != pair)
                continue; // one of the two has merged with another neighbour since, or, in "aaa", with each other
            var count = _counts.At(cell);
            var rightCell = cell + leftLength;
            var next = cell + mergedLength;
            var previous = cell - _shapes[_cells[cell - 1].Symbol].Length;

            Lose(_cells[previous].Pair, count);
            Lose(_cells[rightCell].Pair, count);
            _cells[rightCell].Pair = NoPair;
            _cells[cell].Symbol = merged;
            _cells[next - 1].Symbol = merged;
            _cells[previous].Pair = Gain(ref _pairWithLeft[_cells[previous].Symbol], _cells[previous].Symbol, merged, previous, count);
            _cells[cell].Pair = Gain(ref _pairWithRight[_cells[next].Symbol], merged, _cells[next].Symbol, cell, count);
        }
        ForgetNeighbours();
        PlaceFound(firstNew);
        _pairs[pair].Frequency = 0;
        return firstNew;
    }

    private Span<int> Occurrences(int pair)
    {
        ref var p = ref _pairs[pair];
        return _blocks[p.Block].AsSpan(p.Start, p.Count);
    }

    private int AddSymbol(int pair)
    {
        ref var p = ref _pairs[pair];
        PieceShape.TryJoin(_shapes[p.Left], _shapes[p.Right], out var shape);
        return AddSymbol(shape, [.. _texts[p.Left], .. _texts[p.Right]]);
    }

    private int AddSymbol(PieceShape shape, byte[] text)
    {
        _shapes[_symbols] = shape;
        _texts[_symbols] = text;
        return _symbols++;
    }

    private void Lose(int pair, long count)
    {
        if (pair >= 0)
            _pairs[pair].Frequency -= count;
    }

    // Counts one more occurrence of a pair with the new symbol; "known" remembers the pair for its neighbour until the step ends.
    private int Gain(ref int known, int left, int right, int cell, long count)
    {
        if (left == right)
            known = ref _pairWithRight[right]; // the new symbol beside itself: one pair, from whichever side
        if (known == NotSeen)
        {
            known = TryAddPair(left, right);
            _neighboursSeen.Add(left);
            _neighboursSeen.Add(right);
        }
        if (known >= 0)
        {
            _pairs[known].Frequency += count;
            _pairs[known].Count++;
            if (_foundCount == _found.Length)
                Array.Resize(ref _found, 2 * _foundCount);
            _found[_foundCount++] = new Found { Pair = known, Cell = cell };
        }
        return known;
    }

    private void ForgetNeighbours()
    {
        foreach (var symbol in _neighboursSeen)
            _pairWithLeft[symbol] = _pairWithRight[symbol] = NotSeen;
        _neighboursSeen.Clear();
    }

    private int TryAddPair(int left, int right)
    {
        if (!PieceShape.TryJoin(_shapes[left], _shapes[right], out _))
            return NoPair;
        if (PairCount == _pairs.Length)
            Array.Resize(ref _pairs, PairCount * 2);
        _pairs[PairCount] = new Pair { Left = left, Right = right };
        return PairCount++;
    }

    // Sorts the step's occurrences by pair into one block; within a pair they stay in the order of the text.
    private void PlaceFound(int firstNew)
    {
        var block = NewBlock(firstNew);
        for (var i = 0; i < _foundCount; i++)
            Place(block, _found[i].Pair, _found[i].Cell);
        _foundCount = 0;
    }

    private int[] NewBlock(int firstPair)
    {
        var start = 0;
        for (var pair = firstPair; pair < PairCount; pair++)
        {
            ref var p = ref _pairs[pair];
            (p.Block, p.Start) = (_blocks.Count, start);
            start += p.Count;
            p.Count = 0;
        }
        var block = new int[start];
        _blocks.Add(block);
        return block;
    }

    private void Place(int[] block, int pair, int cell)
    {
        ref var p = ref _pairs[pair];
        block[p.Start + p.Count++] = cell;
    }

    private Cell[] LayOut(WordTable words, int[] order, Alphabet alphabet)
    {
        var characters = 0;
        foreach (var slot in order)
            foreach (var _ in new WordCharacters(words.KeyAt(slot)))
                characters++;
        var cells = new Cell[checked(1 + characters + (2 * order.Length))];
        var next = 0;
        cells[next++] = new Cell(End);
        foreach (var slot in order)
        {
            cells[next++] = new Cell(SymbolOf(Alphabet.Space));
            foreach (var character in new WordCharacters(words.KeyAt(slot)))
                cells[next++] = new Cell(SymbolOf(character));
            cells[next++] = new Cell(End);
            _counts.Add(words.CountAt(slot), end: next);
        }
        return cells;

        int SymbolOf(int character)
        {
            var index = alphabet.IndexOf(character);
            return index < 0 ? NoPiece : FirstCharacter + index;
        }
    }

    private void FindPairs()
    {
        var known = new Dictionary<long, int>(); // (left, right) as one number without gaps, which hashes better than the two side by side
        for (var cell = 1; cell < _cells.Length - 1; cell++)
        {
            var (left, right) = (_cells[cell].Symbol, _cells[cell + 1].Symbol);
            if (left < FirstCharacter || right < FirstCharacter)
                continue;
            ref var pair = ref CollectionsMarshal.GetValueRefOrAddDefault(known, ((long)left * _symbols) + right, out var seen);
            if (!seen)
                pair = TryAddPair(left, right);
            if (pair < 0)
                continue;
            _cells[cell].Pair = pair;
            _pairs[pair].Frequency += _counts.At(cell);
            _pairs[pair].Count++;
        }

        var block = NewBlock(0);
        for (var cell = 1; cell < _cells.Length - 1; cell++)
            if (_cells[cell].Pair >= 0)
                Place(block, _cells[cell].Pair, cell);
    }

    private struct Cell(int symbol)
    {
        public int Symbol = symbol;
        public int Pair = NoPair;
    }

    // A new occurrence of a pair.
    private struct Found
    {
        public int Pair;
        public int Cell;
    }

    private struct Pair
    {
        public long Frequency;
        public int Left;
        public int Right;
        public int Block; // its occurrences are _blocks[Block][Start .. Start + Count]
        public int Start;
        public int Count;
    }
}
