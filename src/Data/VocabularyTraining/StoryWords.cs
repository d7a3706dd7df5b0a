// Story shards → the words in them, several shards at a time.
using LlamaFullstack.Data.Stories;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>Counts the words of story shards, read as they are: each story is a text of its own.</summary>
public static class StoryWords
{
    private const int StoriesPerReport = 512;

    /// <summary>Counts in parallel; the result does not depend on the number of threads.</summary>
    /// <param name="shards">Paths of the shards.</param>
    /// <param name="settings">For its rule on spaces.</param>
    /// <param name="threads">How many shards are read at a time.</param>
    /// <param name="progress">Told how many bytes of the shards are done, from several threads.</param>
    /// <param name="cancellation">Ends the counting.</param>
    /// <exception cref="IOException">A shard cannot be read.</exception>
    /// <exception cref="InvalidDataException">A shard is not one; the message says which and where.</exception>
    /// <exception cref="OperationCanceledException">The counting was cancelled.</exception>
    public static WordCounts Count(
        IReadOnlyList<string> shards, VocabularyTrainerSettings settings, int threads, IProgress<long>? progress = null, CancellationToken cancellation = default)
    {
        var nextShard = -1;
        var bytesDone = 0L;
        var workers = Enumerable.Range(0, Math.Max(1, Math.Min(threads, shards.Count))).Select(_ => Task.Run(CountShards, cancellation)).ToArray();
        var parts = Task.WhenAll(workers).GetAwaiter().GetResult();
        foreach (var part in parts[1..])
            parts[0].Add(part);
        return parts[0];

        WordCounts CountShards()
        {
            var words = new WordCounts(settings.RemoveExtraWhitespaces);
            for (var shard = Interlocked.Increment(ref nextShard); shard < shards.Count; shard = Interlocked.Increment(ref nextShard))
            {
                using var reader = StoryShardReader.Open(shards[shard]);
                var reported = 0L;
                while (reader.Read())
                {
                    words.Add(reader.Story);
                    if (reader.Index % StoriesPerReport == 0)
                        Report(reader.Position, ref reported);
                }
                Report(reader.Position, ref reported);
            }
            return words;
        }

        void Report(long position, ref long reported)
        {
            cancellation.ThrowIfCancellationRequested();
            progress?.Report(Interlocked.Add(ref bytesDone, position - reported));
            reported = position;
        }
    }
}
