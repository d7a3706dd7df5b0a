using System.Globalization;
using System.Text;
using LlamaFullstack.Data.Tests.VocabularyTraining;
using LlamaFullstack.Data.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.SentencePiece;

/// <summary>Vocabularies of random texts, beside those that a sentencepiece of the user's own choice trains: scripts/check-spm-train.sh.</summary>
public class SpmTrainTests(ITestOutputHelper output)
{
    private const int LargestSize = 32_000;

    [Fact]
    public void Train_RandomTexts_GivesSentencepiecesPieces()
    {
        var program = Environment.GetEnvironmentVariable("SPM_TRAIN");
        if (string.IsNullOrEmpty(program))
            Assert.Skip("SPM_TRAIN is not set: spm_train of sentencepiece 0.1.99 or later (Debian 12 has 0.1.97, which trains other pieces)");
        var first = Number("SPM_SEED", 0);
        var cases = Number("SPM_CASES", 90);
        var (identical, arbitrary, empty) = (0, 0, 0);
        for (var seed = first; seed < first + cases; seed++)
        {
            var result = Compare(program, seed);
            identical += result == Result.Identical ? 1 : 0;
            arbitrary += result == Result.IdenticalUpToTheArbitrary ? 1 : 0;
            empty += result == Result.NoWords ? 1 : 0;
        }
        output.WriteLine($"seeds {first} to {first + cases - 1}: {identical} vocabularies identical, {arbitrary} up to the piece from which sentencepiece's choice is arbitrary, {empty} texts without a word");
    }

    private static Result Compare(string program, int seed)
    {
        var corpus = new RandomCorpus(seed);
        var random = new Random(seed);
        var settings = new VocabularyTrainerSettings
        {
            VocabSize = int.MaxValue,
            CharacterCoverage = random.Next(3) == 0 ? 0.98f + (0.02f * random.NextSingle()) : 1,
            RemoveExtraWhitespaces = random.Next(3) != 0,
            SplitDigits = random.Next(4) != 0,
        };
        var words = Corpus.Words(corpus.Text, settings.RemoveExtraWhitespaces);
        if (words.DistinctWords == 0)
            return Result.NoWords;
        var (smallest, largest) = Bounds(words, settings);
        // The bounds themselves, and between them the small sizes as often as the large.
        settings = settings with
        {
            VocabSize = random.Next(4) switch
            {
                0 => smallest,
                1 => largest,
                _ => smallest + (int)Math.Exp(random.NextDouble() * Math.Log(largest - smallest + 1)) - 1,
            },
        };
        var trained = VocabularyTrainer.Train(words, settings);
        var ours = Encoding.UTF8.GetString(VocabularyText.Format(trained.Vocabulary)).Split('\n');
        var theirs = TrainTheirs(program, corpus.Text, settings).Split('\n');

        var same = 0;
        while (same < ours.Length && same < theirs.Length && ours[same] == theirs[same])
            same++;
        if (same == ours.Length && same == theirs.Length)
            return Result.Identical;
        if (trained.FirstArbitraryPiece is { } first && same >= first)
            return Result.IdenticalUpToTheArbitrary;
        Assert.Fail($"seed {seed} ({corpus.Name}, {settings}): line {same} is \"{ours[same]}\", but sentencepiece's is \"{theirs[same]}\"; arbitrary from {trained.FirstArbitraryPiece} on");
        return default;
    }

    private static (int Smallest, int Largest) Bounds(WordCounts words, VocabularyTrainerSettings settings)
    {
        var smallest = Bound(words, settings with { VocabSize = 1 }, "at least ");
        return (smallest, Math.Max(smallest, Math.Min(LargestSize, Bound(words, settings with { VocabSize = LargestSize * 10 }, "at most "))));
    }

    // From the message that names it.
    private static int Bound(WordCounts words, VocabularyTrainerSettings settings, string before)
    {
        var message = Assert.Throws<InvalidDataException>(() => VocabularyTrainer.Train(words, settings)).Message;
        return int.Parse(message.Split(before)[1].Split(' ')[0], NumberStyles.AllowThousands, CultureInfo.InvariantCulture);
    }

    private static string TrainTheirs(string program, byte[] text, VocabularyTrainerSettings settings)
    {
        using var temp = new TempFolder();
        var input = temp.Write("text.txt", text);
        SystemProgram.Run(program,
            $"--input={input}", $"--model_prefix={temp.File("spm")}", "--model_type=bpe", $"--vocab_size={settings.VocabSize}",
            FormattableString.Invariant($"--character_coverage={settings.CharacterCoverage:G9}"),
            $"--split_digits={settings.SplitDigits}", $"--remove_extra_whitespaces={settings.RemoveExtraWhitespaces}",
            "--allow_whitespace_only_pieces=true", "--byte_fallback=true", "--normalization_rule_name=identity", "--self_test_sample_size=0", "--num_threads=1");
        return File.ReadAllText(temp.File("spm.vocab"));
    }

    private static int Number(string variable, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out var number) ? number : otherwise;

    private enum Result
    {
        Identical,
        IdenticalUpToTheArbitrary,
        NoWords,
    }
}
