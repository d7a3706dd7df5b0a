using LlamaFullstack.Training.Distributed;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Tests.Distributed;

public sealed class ProcessGroupTests
{
    // The other rank may have refused the run: then there is no checkpoint.
    [Fact]
    public void Finish_AfterAStopWithoutTheOtherRank_EndsAndPromisesNoCheckpoint()
    {
        using var group = new OneOfTwo();
        Assert.Contains("A checkpoint, if one was written, is whole",
            Assert.Throws<IOException>(() => group.Finish(new CancellationToken(canceled: true))).Message, StringComparison.Ordinal);
    }

    /// <summary>A rank whose partner never answers.</summary>
    private sealed class OneOfTwo : ProcessGroup
    {
        public override int Rank => 1;

        public override int Size => 2;

        public override int LocalRank => 1;

        public override int LocalSize => 2;

        public override string Description => "rank 1 of 2";

        public override void BeginSum(Tensor values)
        {
        }

        public override void Sum(Span<double> values, CancellationToken cancellation)
        {
        }

        public override void Leave()
        {
        }

        private protected override bool IsDone() => false;

        protected override void Dispose(bool disposing)
        {
        }
    }
}
