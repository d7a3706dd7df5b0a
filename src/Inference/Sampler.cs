using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>Chooses a token from logits: llama2.c's way, to the coin and to the rounding.</summary>
/// <remarks>
/// Temperature 0 takes the first of the largest logits and no coin. Otherwise p = softmax(logits / temperature), and one coin picks
/// from all tokens (top-p 0 or 1) or from the smallest set of the likeliest whose probabilities exceed top-p together. Sums run in
/// float32 in llama2.c's order. Among equal probabilities the lower token comes first; llama2.c leaves that to its C library's qsort.
/// Not thread-safe. Nothing is allocated after the constructor.
/// </remarks>
public sealed class Sampler
{
    private readonly KernelSet _kernels = KernelSets.Select();
    private readonly float[] _exponentials;
    private readonly ulong[] _candidates;
    private ulong _state;

    /// <summary>Prepares to sample.</summary>
    /// <param name="vocabSize">Number of logits.</param>
    /// <param name="temperature">0 for the likeliest token always; 1 for the model's own distribution.</param>
    /// <param name="topP">0 to 1; exactly 0 or 1 keeps all tokens.</param>
    /// <param name="seed">Any number but 0, at which the generator would stay.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public Sampler(int vocabSize, float temperature, float topP, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabSize, 1);
        ArgumentOutOfRangeException.ThrowIfZero(seed);
        if (!(temperature >= 0 && float.IsFinite(temperature)))
            throw new ArgumentOutOfRangeException(nameof(temperature), $"temperature {temperature}: must be 0 or more.");
        if (topP is not (>= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(topP), $"top-p {topP}: must be between 0 and 1.");
        Temperature = temperature;
        TopP = topP;
        _state = seed;
        _exponentials = new float[vocabSize];
        _candidates = new ulong[vocabSize];
    }

    /// <summary>What logits are divided by.</summary>
    public float Temperature { get; }

    /// <summary>The probability that the candidates must exceed together.</summary>
    public float TopP { get; }

    /// <summary>Chooses the next token.</summary>
    /// <param name="logits">(vocab_size); not changed.</param>
    /// <exception cref="ArgumentException">There are more or fewer logits than the vocabulary has tokens.</exception>
    /// <exception cref="InvalidDataException">A logit is NaN, or the largest is infinite: the model's weights are damaged.</exception>
    public int Sample(ReadOnlySpan<float> logits)
    {
        if (logits.Length != _exponentials.Length)
            throw new ArgumentException($"{logits.Length} logits for a vocabulary of {_exponentials.Length}.", nameof(logits));
        var likeliest = ArgMax(logits);
        if (!float.IsFinite(logits[likeliest]))
            throw NotAModels();
        if (Temperature == 0)
            return likeliest;

        var coin = NextCoin();
        // A temperature so near 0 that the division overflows leaves nothing but the likeliest token.
        if (!float.IsFinite(logits[likeliest] / Temperature) && float.IsFinite(logits[likeliest]))
            return likeliest;
        var sum = Exponentials(logits, logits[likeliest] / Temperature);
        return TopP is 0 or 1 ? SampleAll(coin, sum) : SampleTopP(coin, sum, likeliest);
    }

    /// <summary>The next number of xorshift64*, 0 ≤ coin &lt; 1, in steps of 2⁻²⁴.</summary>
    public float NextCoin()
    {
        _state ^= _state >> 12;
        _state ^= _state << 25;
        _state ^= _state >> 27;
        var bits = (uint)((_state * 0x2545F4914F6CDD1DUL) >> 32);
        return (bits >> 8) / 16777216f;
    }

    private unsafe int ArgMax(ReadOnlySpan<float> logits)
    {
        int index;
        fixed (float* p = logits)
            index = _kernels.ArgMax(p, logits.Length);
        return index >= 0 ? index : throw NotAModels();
    }

    /// <summary>e[i] = exp(logits[i] / T − max).</summary>
    /// <returns>Their sum, from the first token to the last.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private unsafe float Exponentials(ReadOnlySpan<float> logits, float max)
    {
        var sum = 0f;
        fixed (float* from = logits, to = _exponentials)
        {
            var i = 0;
            for (; i <= logits.Length - CMath.Count; i += CMath.Count)
            {
                var scaled = Vector256.Load(from + i);
                if (Temperature != 1)
                    scaled /= Vector256.Create(Temperature);
                CMath.Exp(scaled - Vector256.Create(max), to + i);
                sum = CMath.AddInOrder(sum, Vector256.Load(to + i));
            }
            for (; i < logits.Length; i++)
                sum += to[i] = MathF.Exp(from[i] / Temperature - max);
        }
        return float.IsNaN(sum) ? throw NotAModels() : sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int SampleAll(float coin, float sum)
    {
        var (cdf, token) = (0f, 0);
        // Eight at a time, up to those among which the coin falls.
        for (; token <= _exponentials.Length - CMath.Count; token += CMath.Count)
        {
            var next = CMath.AddInOrder(cdf, Vector256.Create(_exponentials, token) / Vector256.Create(sum));
            if (coin < next)
                break;
            cdf = next;
        }
        for (; token < _exponentials.Length; token++)
        {
            cdf += _exponentials[token] / sum;
            if (coin < cdf)
                return token;
        }
        return _exponentials.Length - 1; // the sum was rounded to less than the coin
    }

    /// <summary>Picks from the likeliest tokens: they are taken off a heap one by one until they exceed top-p, the rest is never sorted.</summary>
    private int SampleTopP(float coin, float sum, int likeliest)
    {
        var count = FindCandidates(sum);
        if (count == 0)
            return likeliest; // every token is below the cutoff: a flat distribution and a tiny top-p
        var heap = _candidates.AsSpan(0, count);
        for (var parent = count / 2 - 1; parent >= 0; parent--)
            SiftDown(heap, parent);

        // Taken candidates go where the heap has shrunk: from the end of the array to its front.
        var cumulative = 0f;
        var left = count;
        do
        {
            left--;
            (heap[0], heap[left]) = (heap[left], heap[0]);
            SiftDown(heap[..left], 0);
            cumulative += ProbabilityOf(heap[left]);
        }
        while (cumulative <= TopP && left > 0);

        var r = coin * cumulative;
        var cdf = 0f;
        for (var i = count - 1; i >= left; i--)
        {
            cdf += ProbabilityOf(heap[i]);
            if (r < cdf)
                return TokenOf(heap[i]);
        }
        return TokenOf(heap[left]); // rounding
    }

    /// <summary>Tokens whose probability is at least (1 − top-p) / (n − 1): a smaller one cannot be in the set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private unsafe int FindCandidates(float sum)
    {
        var cutoff = (1f - TopP) / (_exponentials.Length - 1);
        var count = 0;
        fixed (float* e = _exponentials)
        {
            // Most are far below. What is not, by more than rounding may be off, is divided.
            var least = Vector256.Create(cutoff * sum * 0.999999f);
            for (var token = 0; token < _exponentials.Length; token++)
            {
                while (token <= _exponentials.Length - CMath.Count && Vector256.LessThanAll(Vector256.Load(e + token), least))
                    token += CMath.Count;
                if (token < _exponentials.Length && e[token] / sum >= cutoff)
                    _candidates[count++] = Candidate(e[token] / sum, token);
            }
        }
        return count;
    }

    // A candidate is one number that sorts by probability, then by the lower token: the bits of a positive float sort as it does.
    private static ulong Candidate(float probability, int token) => (ulong)BitConverter.SingleToUInt32Bits(probability) << 32 | ~(uint)token;

    private static float ProbabilityOf(ulong candidate) => BitConverter.UInt32BitsToSingle((uint)(candidate >> 32));

    private static int TokenOf(ulong candidate) => (int)~(uint)candidate;

    private static void SiftDown(Span<ulong> heap, int parent)
    {
        for (var child = 2 * parent + 1; child < heap.Length; child = 2 * parent + 1)
        {
            if (child + 1 < heap.Length && heap[child + 1] > heap[child])
                child++;
            if (heap[parent] >= heap[child])
                return;
            (heap[parent], heap[child]) = (heap[child], heap[parent]);
            parent = child;
        }
    }

    /// <summary>Passes logits on unless all are the same: weights of zeros give that, and weights so large that sums overflow.</summary>
    /// <exception cref="InvalidDataException">All are the same.</exception>
    internal static ReadOnlySpan<float> RequireChoice(ReadOnlySpan<float> logits) =>
        logits.Length == 1 || logits.ContainsAnyExcept(logits[0]) ? logits : throw NotAModels(); // ends at the second logit of a sound model

    private static InvalidDataException NotAModels() =>
        new("the model's logits are all the same, infinite or not numbers (NaN): its weights are damaged, or training diverged. Export or download it again.");
}
