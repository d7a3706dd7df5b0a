// Which characters of the text get a piece of their own.
using System.Text;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>The characters that a vocabulary has as pieces, the most frequent first.</summary>
internal sealed class Alphabet
{
    /// <summary>The character that a space is written as in sentencepiece.</summary>
    public const int Space = Vocabulary.SpaceSymbol;

    private const int CodePoints = 0x110000;

    private readonly int[] _indexOf = new int[CodePoints];

    /// <summary>Counts the characters of the words and keeps the most frequent ones until they cover enough of the text.</summary>
    public Alphabet(WordTable words, float coverage)
    {
        Array.Fill(_indexOf, -1);
        var counts = CountCharacters(words);
        var total = counts.Sum();
        var seen = Enumerable.Range(0, CodePoints).Where(c => counts[c] > 0).OrderByDescending(c => counts[c]).ThenBy(c => c);
        var covered = 0L;
        foreach (var character in seen)
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
            _indexOf[character] = Characters.Count;
            Characters.Add(new Rune(character));
        }
    }

    /// <summary>The characters, by (count descending, code point ascending).</summary>
    public List<Rune> Characters { get; } = [];

    /// <summary>How many different characters of the text are not covered.</summary>
    public int DroppedCharacters { get; }

    /// <summary>The index of a character in <see cref="Characters"/>; -1 if it has no piece.</summary>
    public int IndexOf(int codePoint) => _indexOf[codePoint];

    private static long[] CountCharacters(WordTable words)
    {
        var counts = new long[CodePoints];
        for (var slot = 0; slot < words.Capacity; slot++)
        {
            var count = words.CountAt(slot);
            if (count == 0)
                continue;
            counts[Space] += count;
            foreach (var character in new WordCharacters(words.KeyAt(slot)))
                counts[character] += count;
        }
        counts[0] = 0; // sentencepiece does not count NUL at all
        return counts;
    }
}
