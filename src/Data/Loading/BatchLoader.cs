using LlamaFullstack.Data.Tokens;

namespace LlamaFullstack.Data.Loading;

/// <summary>
/// Pretokenised shards → batches, without end, in an order that depends only on the seed and the position. Knows nothing about torch.
/// </summary>
/// <remarks>
/// <para>As in llama2.c, a shard of n tokens holds n / T - 1 chunks of T tokens (T = max_seq_len); the shards are visited in random order,
/// and in each its chunks are; x = [i·T, i·T + T), and y is the same shifted by one. A shard that is too short for that, but longer than
/// T, gives its one chunk.</para>
/// <para>Unlike there, the place in that order is one number, the count of chunks taken by all ranks together: pass, shard and chunk
/// follow from it. So it can be saved, ranks never see the same chunk in a pass, and their number may change on the way.</para>
/// </remarks>
public sealed class BatchLoader : IDisposable
{
    private readonly TokenShard[] _shards;
    private readonly int[] _chunks; // in each shard
    private readonly long _chunksInPass;
    private readonly int _seqLen;
    private readonly int _vocabSize;
    private readonly ulong _seed;
    private readonly int _rank;
    private readonly int _worldSize;

    // The part of the order around the position: computed again only when the position leaves it.
    private long _pass = -1;
    private int[] _shardOrder = [];
    private int _shard = -1;
    private int[] _chunkOrder = [];

    private long _position;

    /// <summary>Opens the shards of one split.</summary>
    /// <param name="paths">The shards' files.</param>
    /// <param name="batchSize">Chunks in a batch.</param>
    /// <param name="seqLen">Tokens in a chunk.</param>
    /// <param name="vocabSize">The model's: a token beyond it is an error, not a crash in the model.</param>
    /// <param name="seed">Decides the order.</param>
    /// <param name="rank">Which of the processes that train together this is.</param>
    /// <param name="worldSize">How many there are. In each round of batches rank r takes the r-th.</param>
    /// <exception cref="InvalidDataException">The shards together hold no chunk.</exception>
    /// <exception cref="IOException">A shard cannot be read.</exception>
    public BatchLoader(IReadOnlyList<string> paths, int batchSize, int seqLen, int vocabSize, long seed, int rank = 0, int worldSize = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(paths.Count);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batchSize);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(seqLen);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)rank, (uint)worldSize);
        _shards = TokenShard.OpenAll(paths);
        _chunks = [.. _shards.Select(shard => ChunksIn(shard.Length, seqLen))];
        _chunksInPass = _chunks.Sum(count => (long)count);
        BatchSize = batchSize;
        _seqLen = seqLen;
        _vocabSize = vocabSize;
        _seed = (ulong)seed;
        _rank = rank;
        _worldSize = worldSize;
        if (_chunksInPass == 0)
        {
            var longest = _shards.Max(shard => shard.Length);
            Dispose();
            throw new InvalidDataException(
                $"{paths[0]}: {longest} tokens in the longest shard, but max_seq_len {seqLen} needs at least {seqLen + 1}. Lower --max_seq_len or add stories.");
        }
    }

    /// <summary>Number of sequences in a batch.</summary>
    public int BatchSize { get; }

    /// <summary>Number of chunks in one pass over the split.</summary>
    public long ChunksInPass => _chunksInPass;

    /// <summary>Goes to a position: 0, or the <see cref="Batch.NextPosition"/> of an earlier batch.</summary>
    public void Seek(long position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        _position = position;
    }

    /// <summary>The next batch of this rank.</summary>
    /// <exception cref="InvalidDataException">A token is not in the vocabulary.</exception>
    public Batch Next()
    {
        var tokens = new long[BatchSize * _seqLen];
        var targets = new long[BatchSize * _seqLen];
        Span<long> chunk = new long[_seqLen + 1];
        for (var row = 0; row < BatchSize; row++)
        {
            Read(_position + (long)_rank * BatchSize + row, chunk);
            chunk[..^1].CopyTo(tokens.AsSpan(row * _seqLen));
            chunk[1..].CopyTo(targets.AsSpan(row * _seqLen));
        }
        _position += (long)BatchSize * _worldSize;
        return new Batch(tokens, targets, _position);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var shard in _shards)
            shard.Dispose();
    }

    private static int ChunksIn(long tokens, int seqLen) =>
        (int)Math.Min(int.MaxValue, Math.Max(tokens / seqLen - 1, tokens > seqLen ? 1 : 0));

    private void Read(long position, Span<long> chunk)
    {
        var (pass, rest) = Math.DivRem(position, _chunksInPass);
        if (pass != _pass)
        {
            _shardOrder = new SplitMix64(Mix(pass, -1)).Permutation(_shards.Length);
            _pass = pass;
            _shard = -1;
        }

        var place = 0;
        while (rest >= _chunks[_shardOrder[place]])
            rest -= _chunks[_shardOrder[place++]];
        var shard = _shardOrder[place];
        if (shard != _shard)
        {
            _chunkOrder = new SplitMix64(Mix(pass, shard)).Permutation(_chunks[shard]);
            _shard = shard;
        }

        var start = (long)_chunkOrder[rest] * _seqLen;
        _shards[shard].Read(start, chunk);
        foreach (var token in chunk)
            if ((ulong)token >= (ulong)_vocabSize)
                throw new InvalidDataException(
                    $"{_shards[shard].Path}: token {token} near {start}, but the vocabulary has {_vocabSize}. Were the shards made with another one? Run pretokenize again.");
    }

    /// <summary>A seed of its own for each pass (shard -1) and each shard in it.</summary>
    private ulong Mix(long pass, int shard) => new SplitMix64(new SplitMix64(_seed).Next() ^ (ulong)pass).Next() ^ (ulong)(shard + 1);
}
