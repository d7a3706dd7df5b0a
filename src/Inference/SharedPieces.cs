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

    // A piece's claim is the number of its step, which only grows, and below that whether someone's result is the one that counts. A lower number: nobody has said
    // that it is begun. That it is kept is written elsewhere, since all look at that in every step, and a line of another core's cache is 0.2 µs away: claims stay
    // where they are made.
    private const int StateBits = 1;
    private const long Keeping = 1;
    private const long KeptByAnother = 1; // than the worker whose piece it is
    private const long OneStep = 1 << StateBits;

    // 30 µs on fast memory, 70 on slow: to take and to keep a piece costs a hundredth of that, and to begin reading in new places a tenth (docs/LOG.md).
    private const int BytesOfAPiece = 1 << 20;

    // Steps of a job: 2^20 at the most.
    private const int StepBits = 20;

    // 100 µs, more than a piece takes: so much does an interruption cost, once in a time slice.
    private static readonly long Patience = Stopwatch.Frequency / 10_000;

    // What a worker takes first lies on cache lines of its own, and so does the length of an array, which every access reads.
    private const int Gap = 128 / sizeof(long);
    private readonly long[] _claims = new long[Gap + workers * MostPerWorker]; // (workers, MostPerWorker)
    private readonly long[] _kept = new long[Gap + workers * MostPerWorker];

    private int Workers => (_kept.Length - Gap) / MostPerWorker;

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
        private readonly int _workers = shared.Workers;
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
            (_step, _tried, _taken) = (_step + OneStep, 0, 0);
            return false;
        }

        /// <summary>Asks whether this worker's result is the one that counts. If so it must copy it to where all see it, and call <see cref="Keep"/>.</summary>
        /// <param name="piece">The piece that it has taken.</param>
        public bool TryKeep(int piece) => TryClaim(piece, _step | Keeping);

        /// <summary>Says that the result is where all see it.</summary>
        /// <param name="piece">The piece.</param>
        public void Keep(int piece) => Volatile.Write(ref Kept(piece), IsOwn(piece) ? _step : _step | KeptByAnother);

        private ref long Claim(int piece) => ref shared._claims[Slot(piece)];

        private ref long Kept(int piece) => ref shared._kept[Slot(piece)];

        private int Slot(int piece) => Gap + piece / _perWorker * MostPerWorker + piece % _perWorker;

        private bool IsOwn(int piece) => piece / _perWorker == worker;

        private bool TryClaim(int piece, long claim)
        {
            ref var state = ref Claim(piece);
            for (long before; (before = Volatile.Read(ref state)) < claim;)
                if (Interlocked.CompareExchange(ref state, claim, before) == before)
                    return true;
            return false;
        }

        private bool TryTakeNew(int pieces, out int piece)
        {
            while (_tried < pieces)
            {
                piece = (worker * _perWorker + _tried++) % pieces;
                var kept = Volatile.Read(ref Kept(piece));
                if (kept >= _step)
                    continue;
                // Who kept its first piece of the step before has begun with this one: it need not say so, nor do others look whether it did.
                var isBegun = piece % _perWorker == 0 && kept == _step - OneStep;
                if (isBegun ? IsOwn(piece) : TryClaim(piece, _step))
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
                while (Volatile.Read(ref Kept(piece)) < _step)
                {
                    var now = Stopwatch.GetTimestamp();
                    if (since == 0)
                        since = now;
                    if (now - since < Patience)
                        WorkerPool.Pause();
                    else if (Volatile.Read(ref Claim(piece)) < (_step | Keeping))
                        return true;
                    else
                        Thread.Yield(); // its worker was interrupted in the moment of copying
                }
            }
            return false;
        }
    }
}
