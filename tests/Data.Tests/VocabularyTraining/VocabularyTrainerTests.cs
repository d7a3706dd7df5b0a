using System.Text;
using CsCheck;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.VocabularyTraining;

public class VocabularyTrainerTests
{
    // The pieces after the bytes, learned ones and characters; all from sentencepiece 0.2.1, and small enough to follow by hand.
    [Theory]
    [InlineData("ab\tab ab\n", 264, "ab _ab a b _")] // nothing merges over a tab, and it has no piece
    [InlineData("ab\0ab ab\n", 264, "ab _ab a b _")]
    [InlineData("\uFEFFab ab\nab\n", 266, "ab _ab _\uFEFF a b _ \uFEFF")]
    [InlineData("aaaaaaa aaa aaaaa\n", 265, "aa aaa _aa _aaa a _")] // "aaa" holds "aa" twice as often as it can be merged
    [InlineData("12 12 a1 \uFF11\uFF12\n", 266, "_a _ 1 2 a \uFF11 \uFF12")] // digits stay single
    [InlineData("aб aб ab\u0301 ab\u0301 カー漢 カー漢\n", 273, "_a b\u0301 _カ ー漢 _ab\u0301 _カー漢 _ a b \u0301 б カ ー 漢")] // one script a piece
    [InlineData("!\U00013000 !\U00013000 !\U00013001\n", 264, "_! ! _ \U00013000 \U00013001")] // hieroglyphs are a script of their own
    [InlineData("banana bandana\nanan an\n", 269, "an _b ana _an _ban a n _ b d")]
    [InlineData("▁▁▁a ▁▁▁a\n", 263, "__ ____ _ a")] // spaces join among themselves; text takes one at most
    public void Train_SmallText_GivesSentencepiecesPieces(string text, int vocabSize, string pieces) =>
        Assert.Equal(pieces.Split(' '), Corpus.Texts(Corpus.Train(text, vocabSize)));

    [Fact]
    public void Train_LongestPiece_HasSixteenCharacters()
    {
        var trained = Corpus.Train(string.Concat(Enumerable.Repeat("é", 40)), 265);
        Assert.Equal(["éé", "éééé", "éééééééé", new string('é', 16)], Corpus.Texts(trained)[..4]);
    }

    [Fact]
    public void Train_AnyText_GivesMarksBytesPiecesAndCharacters()
    {
        var trained = Corpus.Train("ab ab\n", 264);
        var pieces = trained.Vocabulary.Pieces;
        Assert.Equal((2, 3, 0), (trained.LearnedPieces, trained.Characters, trained.DroppedCharacters));
        Assert.Equal(["<unk>", "<s>", "</s>", "<0x00>"], pieces.Take(4).Select(piece => piece.ToString()));
        Assert.Equal([PieceType.Unknown, PieceType.Control, PieceType.Control, PieceType.Byte], pieces.Take(4).Select(piece => piece.Type));
        Assert.All(pieces.Skip(Vocabulary.FirstText), piece => Assert.Equal(PieceType.Normal, piece.Type));
        Assert.Equal([-0f, -1, -2, -3, -4], pieces.Skip(Vocabulary.FirstText).Select(piece => piece.Score));
        Assert.True(float.IsNegative(pieces[Vocabulary.FirstText].Score));
    }

    [Fact]
    public void Train_LowerCoverage_LeavesRareCharactersToTheBytes()
    {
        var text = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("ab ", 100)) + "xyz");
        var trained = VocabularyTrainer.Train(Corpus.Words(text), new VocabularyTrainerSettings { VocabSize = 264, CharacterCoverage = 0.98f });
        Assert.Equal(["ab", "_ab", "_", "a", "b"], Corpus.Texts(trained));
        Assert.Equal(3, trained.DroppedCharacters);
    }

    [Fact]
    public void Train_Anything_BuildsEachPieceFromEarlierOnes()
    {
        Gen.String[Gen.Char["aab- \n1é漢カー\u0301\t<s>▁"], 1, 300].Sample(text =>
        {
            var words = Corpus.Words(Encoding.UTF8.GetBytes(text));
            if (words.DistinctWords == 0)
                return;
            var pieces = Corpus.Texts(TrainLargest(words));
            Assert.Equal(pieces.Length, pieces.Distinct().Count());
            var learned = pieces.TakeWhile(piece => Characters(piece) > 1).ToArray();
            var known = pieces.Skip(learned.Length).ToHashSet();
            Assert.All(known, piece => Assert.Equal(1, Characters(piece)));
            foreach (var piece in learned)
            {
                Assert.Contains(Enumerable.Range(1, piece.Length - 1), cut => known.Contains(piece[..cut]) && known.Contains(piece[cut..]));
                Assert.InRange(Characters(piece), 2, VocabularyTrainerSettings.MaxPieceCharacters);
                known.Add(piece);
            }
        }, iter: 100);
    }

    [Fact]
    public void Train_SmallerVocabulary_LearnsTheSamePiecesFirst()
    {
        const string Text = "the cat sat on the mat and the cat ate the rat that sat on the hat";
        var large = Corpus.Train(Text, 290);
        var small = Corpus.Train(Text, 280);
        Assert.Equal(Corpus.Texts(large)[..small.LearnedPieces], Corpus.Texts(small)[..small.LearnedPieces]);
    }

    [Fact]
    public void Train_ManyPairsOfOneFrequency_SaysFromWhereOnTheChoiceIsArbitrary()
    {
        // 2,500 words with one pair each, all of them once: sentencepiece looks at 1,000 of them. The tab keeps off the space.
        var rare = Enumerable.Range(0, 50 * 50).Select(i => $"\t{(char)('\u4E00' + (i / 50))}{(char)('\u4F00' + (i % 50))}\n");
        var words = Corpus.Words(Encoding.UTF8.GetBytes("ab ab\n" + string.Concat(rare)));
        var smallest = Vocabulary.FirstText + 100 + "_ab".Length;

        Assert.Null(VocabularyTrainer.Train(words, new VocabularyTrainerSettings { VocabSize = smallest + 2 }).FirstArbitraryPiece);
        var trained = VocabularyTrainer.Train(words, new VocabularyTrainerSettings { VocabSize = smallest + 3 });
        Assert.Equal(["ab", "_ab", "\u4E00\u4F00"], Corpus.Texts(trained)[..3]);
        Assert.Equal(Vocabulary.FirstText + 2, trained.FirstArbitraryPiece);
    }

    [Fact]
    public void Train_TooSmall_NamesTheSmallestPossible()
    {
        var error = Assert.Throws<InvalidDataException>(() => Corpus.Train("ab ab", 261));
        Assert.Equal(
            "vocab_size 261 is too small for this text: it needs at least 262 (3 marks, 256 bytes, 3 characters). Raise vocab_size, or lower character_coverage to leave rare characters to the bytes.",
            error.Message);
        Assert.Equal(["a", "b", "_"], Corpus.Texts(Corpus.Train("ab ab", 262)));
    }

    [Fact]
    public void Train_TooLarge_NamesTheLargestPossible()
    {
        var error = Assert.Throws<InvalidDataException>(() => Corpus.Train("ab ab", 32_000));
        Assert.Equal(
            "vocab_size 32,000 is too large for this text: its words support at most 264 pieces. Lower vocab_size, or train on more text.",
            error.Message);
        Assert.Equal(["ab", "_ab", "a", "b", "_"], Corpus.Texts(Corpus.Train("ab ab", 264)));
    }

    [Theory]
    [InlineData("", "no text to learn a vocabulary from: there is not a single byte. Add text.")]
    [InlineData(" \n\u2585", "no text to learn a vocabulary from: 5 bytes hold no word; 0 lines were skipped as longer than 4,192 bytes, 1 because of U+2585. Add text, or break its lines.")]
    public void Train_NoWords_SaysWhy(string text, string message) =>
        Assert.Equal(message, Assert.Throws<InvalidDataException>(() => Corpus.Train(text, 300)).Message);

    [Theory]
    [InlineData(0.97f)]
    [InlineData(1.01f)]
    [InlineData(float.NaN)]
    public void CharacterCoverage_OutOfRange_Throws(float coverage)
    {
        var error = Assert.Throws<ArgumentException>(() => new VocabularyTrainerSettings { VocabSize = 300, CharacterCoverage = coverage });
        Assert.Equal(FormattableString.Invariant($"character_coverage {coverage}: must be from 0.98 to 1."), error.Message);
    }

    [Fact]
    public void Train_OtherRuleForSpaces_Throws() =>
        Assert.Throws<ArgumentException>(() => VocabularyTrainer.Train(
            Corpus.Words("a b"u8, removeExtraWhitespaces: false), new VocabularyTrainerSettings { VocabSize = 300 }));

    [Fact]
    public void Train_Cancelled_Stops()
    {
        using var stop = new CancellationTokenSource();
        var progress = new Immediate<VocabularyTrainingProgress>(_ => stop.Cancel());
        var text = string.Join('\n', Enumerable.Range(0, 5_000).Select(i => Convert.ToString(i, 2).Replace('0', 'x').Replace('1', 'y')));
        Assert.Throws<OperationCanceledException>(() => VocabularyTrainer.Train(
            Corpus.Words(Encoding.UTF8.GetBytes(text)), new VocabularyTrainerSettings { VocabSize = 512 }, progress, stop.Token));
    }

    private static TrainedVocabulary TrainLargest(WordCounts words)
    {
        var error = Assert.Throws<InvalidDataException>(() => VocabularyTrainer.Train(words, new VocabularyTrainerSettings { VocabSize = 100_000 }));
        var largest = int.Parse(error.Message.Split("at most ")[1].Split(' ')[0].Replace(",", ""), System.Globalization.CultureInfo.InvariantCulture);
        return VocabularyTrainer.Train(words, new VocabularyTrainerSettings { VocabSize = largest });
    }

    private static int Characters(string piece) => piece.EnumerateRunes().Count();
}
