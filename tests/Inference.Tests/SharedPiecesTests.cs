namespace LlamaFullstack.Inference.Tests;

public sealed class SharedPiecesTests
{
    [Theory]
    [InlineData(100, 1e9, 1, 1)] // nobody to share with
    [InlineData(100, 1 << 20, 2, 1)] // at least one each
    [InlineData(100, 8 << 20, 2, 4)] // of 1 MB
    [InlineData(6, 8 << 20, 2, 3)] // no more than there are
    [InlineData(1000, 1e12, 2, SharedPieces.MostPerWorker)]
    public void PerWorker_AnyStep_IsPiecesOfAMegabyte(int most, double bytes, int workers, int expected) =>
        Assert.Equal(expected, SharedPieces.PerWorker(most, bytes, workers));

    [Fact]
    public void TryTake_TwoWorkers_EachTakesItsOwnFirstThenTheOthers()
    {
        var shared = new SharedPieces(2);
        var (a, b) = (Hand(shared, 0), Hand(shared, 1));
        Assert.Equal([2], Take(b, perWorker: 2, count: 1));
        Assert.Equal([0, 1, 3], Take(a, perWorker: 2, count: 3));
    }

    [Fact]
    public void TryTake_AWorkerThatDoesNotComeBack_IsNotWaitedForAndChangesNothingWhenItDoes()
    {
        var shared = new SharedPieces(2);
        var (away, present) = (Hand(shared, 0), Hand(shared, 1));
        Assert.True(away.TryTake(1, out var piece));
        Assert.Equal(0, piece);

        Assert.Equal([1, 0], Take(present, perWorker: 1, count: 2)); // its own, then the other's again
        Assert.False(present.TryTake(1, out _));
        Assert.True(present.TryTake(1, out _)); // the next step

        Assert.False(away.TryKeep(piece));
        Assert.False(away.TryTake(1, out _)); // nothing left for it in the first step,
        Assert.True(away.TryTake(1, out piece)); // but in the second
        Assert.True(away.TryKeep(piece));
    }

    [Fact]
    public void TryTake_AWorkerThatKeptItsFirstPiece_HasBegunWithTheNextStepsUnlessAnotherDidIt()
    {
        var shared = new SharedPieces(2);
        var (away, present) = (Hand(shared, 0), Hand(shared, 1));
        Assert.Equal([0, 1], Take(away, perWorker: 2, count: 2));
        Assert.Equal([2, 3], Take(present, perWorker: 2, count: 2));
        Assert.False(away.TryTake(2, out _));
        Assert.False(present.TryTake(2, out _));

        Assert.True(away.TryTake(2, out var piece));
        Assert.Equal(0, piece);
        Assert.Equal([2, 3, 1, 0], Take(present, perWorker: 2, count: 4)); // 0 is begun, and done again in the end
        Assert.False(present.TryTake(2, out _));

        Assert.Equal([2, 3, 0], Take(present, perWorker: 2, count: 3)); // 0 was not its worker's: nobody waits for it
        Assert.False(away.TryKeep(piece));
        Assert.False(away.TryTake(2, out _)); // the second step,
        Assert.Equal([1], Take(away, perWorker: 2, count: 1)); // and what is left of the third
        Assert.False(away.TryTake(2, out _));
        Assert.False(present.TryTake(2, out _));

        Assert.Equal([2], Take(present, perWorker: 2, count: 1));
        Assert.Equal([0, 1, 3], Take(away, perWorker: 2, count: 3));
    }

    [Fact]
    public void IsFirst_NothingButAnothersPieceAgain_IsTrue()
    {
        var shared = new SharedPieces(2);
        var (away, present) = (Hand(shared, 0), Hand(shared, 1));
        Assert.True(away.TryTake(1, out _));
        Assert.True(away.TryTake(1, out _)); // both, and keeps neither
        Assert.True(present.TryTake(1, out _));
        Assert.True(present.IsFirst);
        Assert.True(present.TryTake(1, out _));
        Assert.False(present.IsFirst);
    }

    [Fact]
    public void TryTake_ALateWorkerOfAnOlderJob_FindsNothing()
    {
        var shared = new SharedPieces(2);
        var (late, present) = (new SharedPieces.Hand(shared, 0), Hand(shared, 1, job: 2));
        Take(present, perWorker: 3, count: 6);
        Assert.False(present.TryTake(3, out _));
        late.Begin(1);
        Assert.False(late.TryTake(3, out _));
    }

    [Fact]
    public void IsFirst_OnlyForAWorkersFirstPieceOfAStep()
    {
        var hand = Hand(new SharedPieces(1), 0);
        for (var step = 0; step < 2; step++)
        {
            var firsts = new List<bool>();
            while (hand.TryTake(3, out var piece))
            {
                firsts.Add(hand.IsFirst);
                Assert.True(hand.TryKeep(piece));
                hand.Keep(piece);
            }
            Assert.Equal([true, false, false], firsts);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)] // more than a small machine has cores
    public void Offer_WorkersThatAreInterruptedAnywhere_GiveTheSameSums(int workers)
    {
        const int Steps = 8;
        using var pool = new WorkerPool(workers);
        var shared = new SharedPieces(workers);
        var hands = Enumerable.Range(0, workers).Select(i => new SharedPieces.Hand(shared, i)).ToArray();
        // A step adds to every number what the step before left in its neighbour: a piece lost, done twice or done too early shows.
        var numbers = new long[Steps + 1][];
        void Job(int worker)
        {
            var hand = hands[worker];
            hand.Begin(pool.RoundOf(worker));
            for (var step = 0; step < Steps; step++)
            {
                var perWorker = step % 3 + 1;
                while (hand.TryTake(perWorker, out var piece))
                {
                    var sum = numbers[step][piece] + numbers[step][(piece + 1) % (workers * perWorker)];
                    if ((worker + step + piece) % 11 == 0)
                        Thread.Sleep(1); // as if another program had the core
                    if (!hand.TryKeep(piece))
                        continue;
                    numbers[step + 1][piece] += sum;
                    hand.Keep(piece);
                }
            }
        }
        for (var round = 0; round < 20; round++)
        {
            var expected = new long[3 * workers];
            Array.Fill(expected, round);
            for (var step = 0; step <= Steps; step++)
                numbers[step] = new long[3 * workers];
            Array.Fill(numbers[0], round);
            pool.Offer(Job);
            for (var step = 0; step < Steps; step++)
            {
                var pieces = workers * (step % 3 + 1);
                var next = new long[3 * workers];
                for (var piece = 0; piece < pieces; piece++)
                    next[piece] = expected[piece] + expected[(piece + 1) % pieces];
                expected = next;
            }
            Assert.Equal(expected, numbers[Steps]);
        }
    }

    private static SharedPieces.Hand Hand(SharedPieces shared, int worker, long job = 1)
    {
        var hand = new SharedPieces.Hand(shared, worker);
        hand.Begin(job);
        return hand;
    }

    /// <summary>Takes so many pieces and keeps them.</summary>
    private static List<int> Take(SharedPieces.Hand hand, int perWorker, int count)
    {
        var taken = new List<int>();
        while (taken.Count < count && hand.TryTake(perWorker, out var piece))
        {
            taken.Add(piece);
            Assert.True(hand.TryKeep(piece));
            hand.Keep(piece);
        }
        return taken;
    }
}
