using LlamaFullstack.Data;
using LlamaFullstack.Data.Loading;
using LlamaFullstack.Data.Tokens;
using LlamaFullstack.Training.Distributed;

namespace LlamaFullstack.Training;

/// <summary>Both splits of a run's dataset: batches to learn from, the next one always read ahead, and the batches to evaluate on.</summary>
/// <remarks>Shard 0 is the validation split and the others are the training split, as in llama2.c.</remarks>
internal sealed class TrainingData : IDisposable
{
    private readonly BatchLoader _train;
    private Task<Batch>? _ahead;

    /// <summary>Opens the shards that a configuration names.</summary>
    /// <exception cref="InvalidDataException">There are none, or too few; the message says which command makes them.</exception>
    /// <param name="config">The run's configuration.</param>
    /// <param name="ranks">Each rank reads other sequences, of both splits.</param>
    public TrainingData(TrainingConfig config, ProcessGroup ranks)
    {
        var folder = new DataFolder(config.DataDir, config.Dataset);
        var shards = folder.TokenShards(config.DataVocabSize);
        if (shards.Count == 0)
            throw new InvalidDataException(
                $"{folder.Tokens(config.DataVocabSize)}: no pretokenised shards. Make them: {Commands(folder, config.DataVocabSize)}");
        if (shards.Count == 1)
            throw new InvalidDataException(
                $"{shards[0]}: the only shard, but training needs two: the first one validates and the others train. Add a shard of stories to {folder.Stories} and pretokenise it.");
        TokenManifest.Read(folder.Tokens(config.DataVocabSize))?.Check(folder.Tokens(config.DataVocabSize), folder.TokenizerModel(config.DataVocabSize));
        BatchLoader Open(IReadOnlyList<string> paths, long seed) => new(paths, config.BatchSize, config.MaxSeqLen, config.VocabSize, seed, ranks.Rank, ranks.Size);
        _train = Open([.. shards.Skip(1)], config.Seed);
        EvalTrain = Open([.. shards.Skip(1)], Evaluation.Seed);
        EvalVal = Open([shards[0]], Evaluation.Seed);
    }

    /// <summary>The training split, for evaluation.</summary>
    public BatchLoader EvalTrain { get; }

    /// <summary>The validation split.</summary>
    public BatchLoader EvalVal { get; }

    /// <summary>Where the training split stands: after the last batch taken, not after the one read ahead.</summary>
    public long Position { get; private set; }

    /// <summary>Sequences in one pass over the training split.</summary>
    public long ChunksInPass => _train.ChunksInPass;

    /// <summary>Begins to read at a position.</summary>
    public void Start(long position)
    {
        Position = position;
        _train.Seek(position);
        _ahead = Task.Run(_train.Next);
    }

    /// <summary>The next batch to learn from.</summary>
    public Batch Next()
    {
        var batch = _ahead!.GetAwaiter().GetResult();
        _ahead = Task.Run(_train.Next);
        Position = batch.NextPosition;
        return batch;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // The shards must stay mapped until nobody reads them; what the reader found is of no use to anyone now.
        _ahead?.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default).Wait();
        _train.Dispose();
        EvalTrain.Dispose();
        EvalVal.Dispose();
    }

    private static string Commands(DataFolder folder, int vocabSize)
    {
        var commands = new List<string>();
        if (folder.StoryShards().Count == 0)
            commands.Add(folder.StoriesCommand);
        if (vocabSize != 0 && !File.Exists(folder.TokenizerModel(vocabSize)))
            commands.Add(folder.VocabularyCommand(vocabSize));
        commands.Add(folder.PretokenizeCommand(vocabSize));
        return string.Join(", then ", commands);
    }
}
