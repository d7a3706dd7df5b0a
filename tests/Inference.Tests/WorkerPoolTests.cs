using CsCheck;

namespace LlamaFullstack.Inference.Tests;

public sealed class WorkerPoolTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)] // more than any small machine has cores
    public void Run_ManyRounds_EveryWorkerSeesWhatTheOthersWroteBeforeTheBarrier(int workers)
    {
        using var pool = new WorkerPool(workers);
        var written = new int[workers];
        var mistakes = 0;
        var round = 0;
        void Job(int worker)
        {
            for (var step = 0; step < 3; step++)
            {
                written[worker] = round * 3 + step;
                pool.Barrier(worker);
                foreach (var value in written)
                    if (value != round * 3 + step)
                        Interlocked.Increment(ref mistakes);
                pool.Barrier(worker);
            }
        }
        for (round = 1; round <= 50; round++)
            pool.Run(Job);
        Assert.Equal(0, mistakes);
    }

    [Fact]
    public void Run_AfterTheThreadsHaveParked_WakesThem()
    {
        using var pool = new WorkerPool(3);
        var count = 0;
        for (var round = 0; round < 5; round++)
        {
            pool.Run(_ => Interlocked.Increment(ref count));
            Thread.Sleep(20); // longer than they spin
        }
        Assert.Equal(15, count);
    }

    [Fact]
    public void Dispose_Twice_IsFine()
    {
        var pool = new WorkerPool(2);
        pool.Dispose();
        pool.Dispose();
    }

    [Fact]
    public void Part_AnyDivision_CoversEveryRowOnceAndNoneInLessThanABlock() =>
        Gen.Select(Gen.Int[1, 5000], Gen.Int[1, 70], Gen.OneOf(1, 16)).Sample((total, workers, block) =>
        {
            var next = 0;
            for (var worker = 0; worker < workers; worker++)
            {
                var part = Part.Of(total, worker, workers, block);
                Assert.Equal(next, part.Start);
                Assert.True(part.End % block == 0 || part.End == total);
                Assert.True(part.Count == 0 || part.Count >= Math.Min(block, total));
                next = part.End;
            }
            Assert.Equal(total, next);
        });

    [Fact]
    public void ThreadCount_TinyModel_IsOne() => Assert.Equal(1, ThreadCount.For(1_056_540));

    [Fact]
    public void ThreadCount_LargeModel_IsNoMoreThanTheProcessorHas() =>
        Assert.InRange(ThreadCount.For(1L << 40), 1, Environment.ProcessorCount);
}
