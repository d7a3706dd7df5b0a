// The built-in dataset: it puts shards of stories, dataNN.json, into DataFolder.Stories, where FileDataset finds them.

using System.Globalization;
using LlamaFullstack.Data.Stories;

namespace LlamaFullstack.Data.Samples;

/// <summary>Writes the sample stories as a dataset.</summary>
public static class SampleDataset
{
    /// <summary>
    /// How many stories there are unless told otherwise: about 8 MB. More than a small model sees in its first minutes,
    /// so it cannot learn them by heart; and they are made in a second.
    /// </summary>
    public const int DefaultStories = 10_000;

    /// <summary>How many shards they are spread over; the first is the validation split.</summary>
    public const int Shards = 10;

    /// <summary>Writes the shards data00.json to data09.json.</summary>
    /// <param name="folder">Where; existing shards are replaced.</param>
    /// <param name="stories">How many stories in all; no two are the same, so no story is both trained on and validated with.</param>
    /// <param name="seed">Another seed gives other stories.</param>
    /// <param name="cancellation">Stops between two stories; the shards written so far stay.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer stories than shards.</exception>
    /// <exception cref="IOException">A shard cannot be written.</exception>
    public static void Write(DataFolder folder, int stories = DefaultStories, ulong seed = 0, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(stories, Shards);
        using var source = SampleStories.Generate(seed).GetEnumerator();
        for (var shard = 0; shard < Shards; shard++)
        {
            var (begin, end) = ((long)stories * shard / Shards, (long)stories * (shard + 1) / Shards);
            var path = Path.Combine(folder.Stories, string.Create(CultureInfo.InvariantCulture, $"data{shard:00}.json"));
            StoryShardWriter.Write(path, Take((int)(end - begin)));
        }

        IEnumerable<string> Take(int count)
        {
            for (var i = 0; i < count; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                source.MoveNext();
                yield return source.Current;
            }
        }
    }
}
