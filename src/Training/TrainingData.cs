using LlamaFullstack.Data;
using LlamaFullstack.Data.Loading;
using LlamaFullstack.Data.Tokens;
using LlamaFullstack.Training.Distributed;

namespace LlamaFullstack.Training;

/// <summary>Both splits of a run's dataset: batches to learn from, the next one always read ahead, and the batches to evaluate on.</summary>
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
        var splits = TokenSplits.Find(folder, config.DataVocabSize);
        BatchLoader Open(IReadOnlyList<string> paths, long seed) => new(paths, config.BatchSize, config.MaxSeqLen, config.VocabSize, seed, ranks.Rank, ranks.Size);
        try
        {
            _train = Open(splits.Train, config.Seed);
            EvalTrain = Open(splits.Train, Evaluation.Seed);
            EvalVal = Open(splits.Validation, Evaluation.Seed);
        }
        catch
        {
            Dispose();
            throw;
        }
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
        _train?.Dispose();      // null where the constructor failed half-way
        EvalTrain?.Dispose();
        EvalVal?.Dispose();
    }
}
