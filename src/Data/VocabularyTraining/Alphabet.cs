// Which characters of the text get a piece of their own.
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>The characters that a vocabulary has as pieces, the most frequent first.</summary>
internal sealed class Alphabet
{
    /// <summary>The character that a space is written as in sentencepiece.</summary>
    public const int Space = Vocabulary.SpaceSymbol;

    private const int CodePoints = 0x110000;

    private readonly int[] _places = new int[CodePoints]; // 1 + the index of a character that has a piece, else 0

    /// <summary>Counts the characters of the words and keeps the most frequent ones until they cover enough of the text.</summary>
    public Alphabet(WordTable words, float coverage)
    {
        var (counts, characters) = CountCharacters(words);
        var total = 0L;
        foreach (var character in characters)
            total += counts[character];
        characters.Sort((a, b) => counts[a] != counts[b] ? counts[b].CompareTo(counts[a]) : a.CompareTo(b));
        var covered = 0L;
        foreach (var character in characters)
        {
            // In float32, as in sentencepiece: in a large text the rarest characters fall out even at a coverage of 1.
            if ((float)((double)covered / total) >= coverage)
            {
                DroppedCharacters++;
                continue;
            }
            covered += counts[character];
            if (character == '\t')
                continue; // stands for what must not merge
            Characters.Add(character);
            _places[character] = Characters.Count;
        }
    }

    /// <summary>The code points, by (count descending, code point ascending).</summary>
    public List<int> Characters { get; } = [];

    /// <summary>How many different characters of the text are not covered.</summary>
    public int DroppedCharacters { get; }

    /// <summary>The index of a character in <see cref="Characters"/>; -1 if it has no piece.</summary>
    public int IndexOf(int codePoint) => _places[codePoint] - 1;

    // The counts by code point, and the code points that occur. NUL is not counted at all, as in sentencepiece.
    private static (long[] Counts, List<int> Characters) CountCharacters(WordTable words)
    {
        var counts = new long[CodePoints];
        var characters = new List<int>();
        for (var slot = 0; slot < words.Capacity; slot++)
        {
            var count = words.CountAt(slot);
            if (count == 0)
                continue;
            Count(Space, count); // the first space of every word, which its key leaves out
            foreach (var character in new WordCharacters(words.KeyAt(slot)))
                Count(character, count);
        }
        return (counts, characters);

        void Count(int character, long count)
        {
            if (character == 0)
                return;
            if (counts[character] == 0)
                characters.Add(character);
            counts[character] += count;
        }
    }
}
