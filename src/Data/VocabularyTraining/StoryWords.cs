// A dataset's files → the words in them, several files at a time.
using LlamaFullstack.Data.Datasets;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>Counts the words of a dataset: each story is a text of its own.</summary>
public static class StoryWords
{
    private const int StoriesPerReport = 512;

    /// <summary>Counts in parallel; the result does not depend on the number of threads.</summary>
    /// <param name="dataset">The stories.</param>
    /// <param name="files">Those of its files that are to be read.</param>
    /// <param name="settings">For its rule on spaces.</param>
    /// <param name="threads">How many files are read at a time.</param>
    /// <param name="progress">Told how many bytes of the files are done, from several threads.</param>
    /// <param name="cancellation">Ends the counting.</param>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="InvalidDataException">A file is not what it should be; the message says which and where.</exception>
    /// <exception cref="OperationCanceledException">The counting was cancelled.</exception>
    public static WordCounts Count(
        Dataset dataset, IReadOnlyList<string> files, VocabularyTrainerSettings settings, int threads,
        IProgress<long>? progress = null, CancellationToken cancellation = default)
    {
        var nextFile = -1;
        var bytesDone = 0L;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation); // of all, where one finds a bad file
        var workers = new Task<WordCounts>[Math.Max(1, Math.Min(threads, files.Count))];
        for (var worker = 0; worker < workers.Length; worker++)
            workers[worker] = Task.Run(CountFiles, stop.Token);
        var parts = Task.WhenAll(workers).GetAwaiter().GetResult();
        foreach (var part in parts[1..])
            parts[0].Add(part);
        return parts[0];

        WordCounts CountFiles()
        {
            var words = new WordCounts(settings.RemoveExtraWhitespaces);
            try
            {
                for (var file = Interlocked.Increment(ref nextFile); file < files.Count; file = Interlocked.Increment(ref nextFile))
                    CountFile(files[file], words);
            }
            catch
            {
                stop.Cancel();
                throw;
            }
            return words;
        }

        void CountFile(string file, WordCounts words)
        {
            using var reader = dataset.Open(file);
            var (reported, stories) = (0L, 0);
            while (reader.Read())
            {
                words.Add(reader.Story);
                if (++stories % StoriesPerReport == 0)
                    Report(reader.Position, ref reported);
            }
            Report(reader.Position, ref reported);
        }

        void Report(long position, ref long reported)
        {
            stop.Token.ThrowIfCancellationRequested();
            progress?.Report(Interlocked.Add(ref bytesDone, position - reported));
            reported = position;
        }
    }
}
