using System.Diagnostics;

namespace LlamaFullstack.Inference;

/// <summary>The pieces of a job's steps, shared by workers of whom any may be interrupted at any time. Knows nothing of what a piece is.</summary>
/// <remarks>
/// A worker that loses its core to another program is away for a time slice: some milliseconds, many tokens of a small model. So nobody
/// waits for a worker: whoever runs takes the pieces, and one that is not done when it should be is done again by whoever waits for it.
/// Both compute the same; the first to be ready keeps its result, the other's is thrown away. Until then a result is the worker's own.
/// </remarks>
/// <param name="workers">Workers.</param>
internal sealed class SharedPieces(int workers)
{
    /// <summary>Pieces of a step for each worker, at the most.</summary>
    public const int MostPerWorker = 64;

    // A piece's state is the number of its step, and below that how far it is. It only grows: with a lower number it is not yet begun.
    private const int StateBits = 2;
    private const long Taken = 1;
    private const long Keeping = 2;
    private const long Kept = 3;

    // 30 µs on fast memory, 70 on slow: to take and to keep a piece costs a hundredth of that, and to begin reading in new places a tenth (docs/LOG.md).
    private const int BytesOfAPiece = 1 << 20;

    // Steps of a job: 2^20 at the most.
    private const int StepBits = 20;

    // 100 µs, more than a piece takes: so much does an interruption cost, once in a time slice.
    private static readonly long Patience = Stopwatch.Frequency / 10_000;

    // (workers, MostPerWorker): what a worker takes first lies on cache lines of its own.
    private readonly long[] _states = new long[workers * MostPerWorker];

    /// <summary>How many pieces to cut a step into.</summary>
    /// <param name="most">What it can be cut into.</param>
    /// <param name="bytes">What it reads; not NaN.</param>
    /// <param name="workers">Workers.</param>
    /// <returns>Pieces for each worker, at least 1.</returns>
    public static int PerWorker(int most, double bytes, int workers) =>
        workers == 1 ? 1 : (int)Math.Clamp(Math.Min(most, bytes / BytesOfAPiece) / workers, 1, MostPerWorker);

    /// <summary>One worker's way through the steps of its jobs.</summary>
    /// <param name="shared">What it shares with the others.</param>
    /// <param name="worker">Its number.</param>
    public sealed class Hand(SharedPieces shared, int worker)
    {
        private readonly int _workers = shared._states.Length / MostPerWorker;
        private long _step;
        private int _tried;
        private int _taken;
        private int _perWorker;

        /// <summary>Whether this worker has taken its first piece of the step: what all of them need, and each worker computes for itself, is due.</summary>
        public bool IsFirst => _taken == 1;

        /// <summary>Begins with the first step of a job.</summary>
        /// <param name="job">The job's number, greater than that of the one before.</param>
        public void Begin(long job) => (_step, _tried, _taken) = (job << (StepBits + StateBits), 0, 0);

        /// <summary>Takes a piece of a step; where there is none to be had, waits until all of them are done.</summary>
        /// <param name="perWorker">Pieces for each worker: the same in every worker.</param>
        /// <param name="piece">0 to workers · <paramref name="perWorker"/> − 1. A worker's own come first, one after the other.</param>
        /// <returns>False if the step is done, and all that was kept in it to be seen; the next call is about the next step.</returns>
        public bool TryTake(int perWorker, out int piece)
        {
            _perWorker = perWorker;
            var pieces = _workers * perWorker;
            if (TryTakeNew(pieces, out piece) || TryTakeAgain(pieces, out piece))
            {
                _taken++;
                return true;
            }
            (_step, _tried, _taken) = (_step + (1 << StateBits), 0, 0);
            return false;
        }

        /// <summary>Asks whether this worker's result is the one that counts. If so it must copy it to where all see it, and call <see cref="Keep"/>.</summary>
        /// <param name="piece">The piece that it has taken.</param>
        public bool TryKeep(int piece) => Interlocked.CompareExchange(ref State(piece), _step | Keeping, _step | Taken) == (_step | Taken);

        /// <summary>Says that the result is where all see it.</summary>
        /// <param name="piece">The piece.</param>
        public void Keep(int piece) => Volatile.Write(ref State(piece), _step | Kept);

        private ref long State(int piece) => ref shared._states[piece / _perWorker * MostPerWorker + piece % _perWorker];

        private bool TryTakeNew(int pieces, out int piece)
        {
            while (_tried < pieces)
            {
                piece = (worker * _perWorker + _tried++) % pieces;
                ref var state = ref State(piece);
                var before = Volatile.Read(ref state);
                if (before < _step && Interlocked.CompareExchange(ref state, _step | Taken, before) == before)
                    return true;
            }
            piece = 0;
            return false;
        }

        /// <summary>Waits for the pieces that others have taken, but not for ever.</summary>
        /// <returns>True with a piece to do again.</returns>
        private bool TryTakeAgain(int pieces, out int piece)
        {
            var since = 0L;
            for (piece = 0; piece < pieces; piece++)
            {
                for (long state; (state = Volatile.Read(ref State(piece))) < (_step | Kept);)
                {
                    var now = Stopwatch.GetTimestamp();
                    if (since == 0)
                        since = now;
                    if (now - since < Patience)
                        WorkerPool.Pause();
                    else if (state == (_step | Taken))
                        return true;
                    else
                        Thread.Yield(); // its worker was interrupted in the moment of copying
                }
            }
            return false;
        }
    }
}
