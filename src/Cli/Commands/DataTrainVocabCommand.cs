using System.CommandLine;
using System.Diagnostics;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Datasets;
using LlamaFullstack.Data.VocabularyTraining;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs data train_vocab: stories → vocabulary.</summary>
internal static class DataTrainVocabCommand
{
    private const int LeastVocabSize = 3 + 256 + 1;

    public static Command Create()
    {
        var vocabSize = Options.CreateWithoutDefault<int>("--vocab_size", "Pieces of the vocabulary, such as 4096.");
        vocabSize.Required = true;
        var numShards = Options.CreateWithoutDefault<int?>("--num_shards", "Learn from so many files, the first ones. [default: all]");
        var coverage = Options.Create("--character_coverage", "Share of the text's characters that get a piece; 0.98 to 1. The rest become bytes. Llama 2's own tokenizer has 0.99995.", 1f);
        var removeSpaces = Options.Create(
            "--remove_extra_whitespaces", "Make runs of spaces one space. Llama 2's own tokenizer has false.", true);
        var splitDigits = Options.Create("--split_digits", "Keep each digit a piece of its own, as llama2.c and Meta do.", true);
        var threads = Options.Create("--threads", "How many files are read at a time.", Environment.ProcessorCount);
        var source = new DatasetOptions();
        var command = new Command("train_vocab", "Learn a vocabulary of your own from the stories.")
        {
            vocabSize, numShards, coverage, removeSpaces, splitDigits, threads,
        };
        source.AddTo(command);
        command.Aliases.Add("train-vocab");
        command.SetAction((parsed, cancellation) =>
        {
            var settings = new VocabularyTrainerSettings
            {
                VocabSize = parsed.GetValue(vocabSize),
                CharacterCoverage = parsed.GetValue(coverage),
                RemoveExtraWhitespaces = parsed.GetValue(removeSpaces),
                SplitDigits = parsed.GetValue(splitDigits),
            };
            // Before the dataset is looked for: with too small a size it would be read for nothing.
            if (settings.VocabSize < LeastVocabSize)
                throw new UsageException($"--vocab_size {settings.VocabSize}: must be at least {LeastVocabSize}: 3 marks, 256 bytes and a letter.");
            var (dataset, folder) = source.Find(parsed);
            return Task.FromResult(Run(dataset, folder, settings, parsed.GetValue(numShards), parsed.GetValue(threads), cancellation));
        });
        return command;
    }

    private static int Run(
        FileDataset dataset, DataFolder folder, VocabularyTrainerSettings settings, int? numShards, int threads, CancellationToken cancellation)
    {
        if (numShards < 1)
            throw new UsageException($"--num_shards {numShards}: must be at least 1.");
        if (threads < 1)
            throw new UsageException($"--threads {threads}: must be at least 1.");
        var files = dataset.Files.Take(numShards ?? int.MaxValue).ToArray();

        var clock = Stopwatch.StartNew();
        var words = CountWords(dataset, files, settings, threads, cancellation);
        var trained = Train(words, settings, cancellation);
        var written = VocabularyFiles.Write(folder, trained);
        dataset.Remember();

        Console.Error.WriteLine(FormattableString.Invariant(
            $"{words.Bytes / 1e6:0.0} MB of text, {words.DistinctWords:N0} different words → {trained.LearnedPieces:N0} learned pieces and {trained.Characters:N0} characters in {clock.Elapsed.TotalSeconds:0.0} s."));
        Warn(words, trained);
        Console.Error.WriteLine($"wrote {string.Join(", ", written)}");
        return 0;
    }

    private static WordCounts CountWords(
        Dataset dataset, IReadOnlyList<string> files, VocabularyTrainerSettings settings, int threads, CancellationToken cancellation)
    {
        using var bar = new ProgressBar("counting words");
        var total = files.Sum(file => new FileInfo(file).Length);
        return StoryWords.Count(dataset, files, settings, threads, new Reporter<long>(done => bar.Report(done, total)), cancellation);
    }

    private static TrainedVocabulary Train(WordCounts words, VocabularyTrainerSettings settings, CancellationToken cancellation)
    {
        using var bar = new ProgressBar("learning pieces");
        return VocabularyTrainer.Train(
            words,
            settings,
            new Reporter<VocabularyTrainingProgress>(at => bar.Report(at.Learned, at.Wanted, $"\"{at.Newest}\" × {at.Frequency}")),
            cancellation);
    }

    private static void Warn(WordCounts words, TrainedVocabulary trained)
    {
        if (words.LongLines > 0)
            Console.Error.WriteLine($"note: skipped {words.LongLines} lines longer than {VocabularyTrainerSettings.MaxLineBytes} bytes, as sentencepiece does.");
        if (words.ReservedLines > 0)
            Console.Error.WriteLine($"note: skipped {words.ReservedLines} lines with U+2585, which sentencepiece keeps for itself.");
        if (trained.DroppedCharacters > 0)
            Console.Error.WriteLine($"note: {trained.DroppedCharacters} rare characters have no piece and become bytes.");
        if (trained.FirstArbitraryPiece is { } id)
            Console.Error.WriteLine($"note: from id {id} on the text is too small for the size: pieces are so rare that sentencepiece's own choice depends on the order of a hash table.");
    }
}
