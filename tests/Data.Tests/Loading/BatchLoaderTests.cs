using System.Runtime.InteropServices;
using LlamaFullstack.Data.Loading;

namespace LlamaFullstack.Data.Tests.Loading;

public sealed class BatchLoaderTests
{
    private const int SeqLen = 10;

    [Fact]
    public void Next_OnePass_GivesEveryChunkOnceAndTargetsShiftedByOne()
    {
        using var folder = new TempFolder();
        using var loader = Open(folder, batchSize: 2);
        // Shards of 105 and 65 tokens: 105 / 10 - 1 = 9 and 65 / 10 - 1 = 5 chunks.
        Assert.Equal(14, loader.ChunksInPass);

        var starts = new List<long>();
        for (var i = 0; i < 7; i++)
            starts.AddRange(Rows(loader.Next()));
        Assert.Equal([.. Enumerable.Range(0, 9).Select(i => 10L * i), .. Enumerable.Range(0, 5).Select(i => 1000 + 10L * i)], starts.Order());
    }

    [Fact]
    public void Next_SecondPass_HasAnotherOrder()
    {
        using var folder = new TempFolder();
        using var loader = Open(folder, batchSize: 14);
        var first = Rows(loader.Next());
        var second = Rows(loader.Next());

        Assert.Equal(first.Order(), second.Order());
        Assert.NotEqual(first, second);
    }

    [Fact]
    public void Seek_AnyEarlierPosition_GoesOnAsBefore()
    {
        using var folder = new TempFolder();
        using var loader = Open(folder, batchSize: 3);
        var batches = Enumerable.Range(0, 20).Select(_ => loader.Next()).ToList();
        using var other = Open(folder, batchSize: 3);
        for (var i = 18; i >= 0; i--)
        {
            other.Seek(batches[i].NextPosition);
            Assert.Equal(batches[i + 1].Tokens, other.Next().Tokens);
        }
    }

    [Fact]
    public void Next_TwoRanks_TogetherAreTheOneRankOfTwiceTheBatch()
    {
        using var folder = new TempFolder();
        using var whole = Open(folder, batchSize: 4);
        using var rank0 = Open(folder, batchSize: 2, rank: 0, worldSize: 2);
        using var rank1 = Open(folder, batchSize: 2, rank: 1, worldSize: 2);
        for (var i = 0; i < 10; i++)
        {
            var (expected, first, second) = (whole.Next(), rank0.Next(), rank1.Next());
            Assert.Equal(expected.Tokens, first.Tokens.Concat(second.Tokens));
            Assert.Equal(expected.NextPosition, first.NextPosition);
            Assert.Equal(expected.NextPosition, second.NextPosition);
        }
    }

    [Fact]
    public void Next_OtherSeed_HasAnotherOrder()
    {
        using var folder = new TempFolder();
        using var one = Open(folder, batchSize: 14, seed: 1);
        using var two = Open(folder, batchSize: 14, seed: 2);

        Assert.NotEqual(Rows(one.Next()), Rows(two.Next()));
    }

    [Theory]
    [InlineData(10, 0)]
    [InlineData(11, 1)]
    [InlineData(19, 1)]
    [InlineData(29, 1)]
    [InlineData(30, 2)]
    public void ChunksInPass_ShortShard_UsesWhatThereIs(int tokens, long chunks)
    {
        using var folder = new TempFolder();
        var path = Shard(folder, "a.bin", tokens, first: 0);
        if (chunks == 0)
        {
            var error = Assert.Throws<InvalidDataException>(() => new BatchLoader([path], 1, SeqLen, 2000, seed: 1));
            Assert.Equal($"{path}: 10 tokens in the longest shard, but max_seq_len 10 needs at least 11. Lower --max_seq_len or add stories.", error.Message);
            return;
        }
        using var loader = new BatchLoader([path], 1, SeqLen, 2000, seed: 1);
        Assert.Equal(chunks, loader.ChunksInPass);
    }

    [Fact]
    public void Next_TokenBeyondTheVocabulary_IsAnError()
    {
        using var folder = new TempFolder();
        using var loader = new BatchLoader([Shard(folder, "a.bin", 40, first: 0)], 3, SeqLen, vocabSize: 20, seed: 1);

        var error = Assert.Throws<InvalidDataException>(loader.Next);
        Assert.Contains("but the vocabulary has 20", error.Message, StringComparison.Ordinal);
    }

    private static BatchLoader Open(TempFolder folder, int batchSize, long seed = 1, int rank = 0, int worldSize = 1) =>
        new([Shard(folder, "a.bin", 105, first: 0), Shard(folder, "b.bin", 65, first: 1000)], batchSize, SeqLen, vocabSize: 2000, seed, rank, worldSize);

    /// <summary>A shard of the tokens first, first + 1, …, so that a chunk's first token says where it lies.</summary>
    private static string Shard(TempFolder folder, string name, int tokens, int first) =>
        folder.Write(name, MemoryMarshal.AsBytes<ushort>([.. Enumerable.Range(first, tokens).Select(token => (ushort)token)]).ToArray());

    /// <summary>The first token of each row; asserts that the row counts up from it and its targets are one ahead.</summary>
    private static List<long> Rows(Batch batch)
    {
        for (var i = 0; i < batch.Tokens.Length; i++)
        {
            Assert.Equal(batch.Tokens[i / SeqLen * SeqLen] + i % SeqLen, batch.Tokens[i]);
            Assert.Equal(batch.Tokens[i] + 1, batch.Targets[i]);
        }
        return [.. batch.Tokens.Where((_, i) => i % SeqLen == 0)];
    }
}
