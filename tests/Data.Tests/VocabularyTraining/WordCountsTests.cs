using System.Text;
using System.Text.RegularExpressions;
using CsCheck;
using LlamaFullstack.Data.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.VocabularyTraining;

/// <summary>How text becomes words: what sentencepiece's normaliser and splitter do, trap by trap.</summary>
public class WordCountsTests
{
    [Theory]
    [InlineData("", "", "")]
    [InlineData("\n\n\n", "", "")]
    [InlineData("   \n", "", "____:1")]
    [InlineData("a b", "_a:1 _b:1", "_a:1 _b:1")]
    [InlineData("a b \n", "_a:1 _b:1", "_:1 _a:1 _b:1")]
    [InlineData("  a   b", "_a:1 _b:1", "___a:1 ___b:1")]
    [InlineData("a\nb\na", "_a:2 _b:1", "_a:2 _b:1")]
    [InlineData("a\r\n", "_a\r:1", "_a\r:1")] // a carriage return is a character
    [InlineData("a\tb", "_a\tb:1", "_a\tb:1")]
    [InlineData("a\0b", "_a\0b:1", "_a\0b:1")]
    [InlineData("\uFEFFa", "_\uFEFFa:1", "_\uFEFFa:1")]
    [InlineData("\u3000a\u00A0b", "_\u3000a\u00A0b:1", "_\u3000a\u00A0b:1")] // only U+0020 and U+2581 are spaces
    [InlineData("a\u2581b", "_a:1 _b:1", "_a:1 _b:1")]
    [InlineData("a \u2581 b", "___b:1 _a:1", "___b:1 _a:1")] // U+2581 is a space but does not collapse
    [InlineData("\u2581a", "__a:1", "__a:1")]
    [InlineData("a\u2581\u2581\n\u2581", "_a:1", "__:2 _a:1")] // trailing U+2581 falls with the trailing spaces
    [InlineData("a\u2585b\nc", "_c:1", "_c:1")]
    [InlineData("x<s>y </s> <unk> <0x0A><0x0a>", "_\t:2 _\t<0x0a>:1 _x\ty:1", "_\t:2 _\t<0x0a>:1 _x\ty:1")]
    [InlineData("<<s>> <0x0G> <s", "_<\t>:1 _<0x0G>:1 _<s:1", "_<\t>:1 _<0x0G>:1 _<s:1")]
    [InlineData("“É” – naïve", "_naïve:1 _–:1 _“É”:1", "_naïve:1 _–:1 _“É”:1")]
    public void Add_Text_GivesSentencepiecesWords(string text, string words, string wordsWithAllSpaces)
    {
        Assert.Equal(words, Format(Corpus.Words(Encoding.UTF8.GetBytes(text))));
        Assert.Equal(wordsWithAllSpaces, Format(Corpus.Words(Encoding.UTF8.GetBytes(text), removeExtraWhitespaces: false)));
    }

    [Theory]
    [InlineData("FF", 1)]
    [InlineData("C3", 1)]
    [InlineData("E296", 2)] // one for each byte, not one for the cut character
    [InlineData("EDA080", 3)] // a surrogate
    [InlineData("C080", 2)] // an overlong NUL
    [InlineData("F4908080", 4)] // beyond U+10FFFF
    [InlineData("F0E28680", 1 + 1)] // a bad byte, then U+2180
    public void Add_InvalidUtf8_CountsReplacementCharacters(string hex, int expected)
    {
        var word = Assert.Single(Corpus.Counted(Corpus.Words([(byte)'a', .. Convert.FromHexString(hex), (byte)'b']))).Key;
        Assert.Equal(expected, word.Count(c => c is '\uFFFD' or '\u2180'));
        Assert.Equal(expected + "_ab".Length, word.Length);
    }

    [Theory]
    [InlineData(4192, 1, 0)]
    [InlineData(4193, 0, 1)]
    public void Add_LongLine_IsSkippedBeyondTheLimit(int length, int lines, int longLines)
    {
        var words = Corpus.Words(Encoding.UTF8.GetBytes(new string('x', length) + "\n"));
        Assert.Equal((lines, longLines), (words.Lines, words.LongLines));
        Assert.Equal(lines, words.DistinctWords);
    }

    [Fact]
    public void Add_AMillionLines_CountsThemAll()
    {
        var words = Corpus.Words(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("a\n", 1_000_000))));
        Assert.Equal(1_000_000, words.Lines);
        Assert.Equal("_a:1000000", Format(words));
    }

    [Fact]
    public void Add_CountsMadeWithTheOtherRule_Throws()
    {
        var words = new WordCounts(removeExtraWhitespaces: true);
        Assert.Throws<ArgumentException>(() => words.Add(new WordCounts(removeExtraWhitespaces: false)));
    }

    [Fact]
    public void Add_PlainText_CountsLikeADictionary()
    {
        // One line of less than 4,192 bytes. Lengths around the 15 bytes that lie in a slot, at the text's end too, where 16 bytes cannot be read.
        var word = Gen.String[Gen.Char["abcdé漢"], 1, 18];
        word.Array[0, 70].Sample(words =>
        {
            var expected = Count(words.Select(word => "_" + word));
            var whole = Corpus.Words(Encoding.UTF8.GetBytes(string.Join(' ', words)));
            var inParts = new WordCounts();
            foreach (var part in words.Chunk(7))
                inParts.Add(Corpus.Words(Encoding.UTF8.GetBytes(string.Join('\n', part))));
            Assert.Equal(expected, Corpus.Counted(words.Length == 0 ? inParts : whole));
            Assert.Equal(expected, Corpus.Counted(inParts));
        }, iter: 200);
    }

    [Fact]
    public void Add_AnyRunsOfSpaces_CountsLikeASplit()
    {
        // Spaces at every place of the 64 bytes that are looked at together, and across two such blocks.
        Gen.String[Gen.Char["   ab"], 0, 200].Sample(line =>
        {
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(word => "_" + word);
            Assert.Equal(Count(words), Corpus.Counted(Corpus.Words(Encoding.UTF8.GetBytes(line))));
            var spaced = line.Length == 0 ? [] : Regex.Matches("_" + line.Replace(' ', '_'), "_+[ab]*").Select(match => match.Value);
            Assert.Equal(Count(spaced), Corpus.Counted(Corpus.Words(Encoding.UTF8.GetBytes(line), removeExtraWhitespaces: false)));
        }, iter: 2000);
    }

    private static SortedDictionary<string, long> Count(IEnumerable<string> words) =>
        new(words.GroupBy(word => word).ToDictionary(group => group.Key, group => (long)group.Count()), StringComparer.Ordinal);

    private static string Format(WordCounts words) => string.Join(' ', Corpus.Counted(words).Select(word => $"{word.Key}:{word.Value}"));
}
