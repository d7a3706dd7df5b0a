using System.Numerics;
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
    // Of a candidate: its token, and above it how far its probability is below 1.
    private const int TokenBits = 32;
    private const int ProbabilityBits = 30;
    private const int DigitBits = 10;
    private const uint One = 0x3f80_0000; // the bits of 1f

    private readonly KernelSet _kernels = KernelSets.Select();
    private readonly float[] _exponentials;
    private readonly ulong[] _candidates;
    private readonly ulong[] _sorted;
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
        var mostCandidates = temperature == 0 || topP is 0 or 1 ? 0 : vocabSize;
        _candidates = new ulong[mostCandidates];
        _sorted = new ulong[mostCandidates];
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
        if (!float.IsFinite(logits[likeliest] / Temperature))
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
    /// <returns>Their sum.</returns>
    private unsafe float Exponentials(ReadOnlySpan<float> logits, float max)
    {
        fixed (float* from = logits, to = _exponentials)
        {
            var sum = CMath.Exponentials(from, Temperature, max, to, logits.Length);
            return float.IsNaN(sum) ? throw NotAModels() : sum;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private unsafe int SampleAll(float coin, float sum)
    {
        const int atOnce = 512;
        var cdf = 0f;
        fixed (float* e = _exponentials)
        {
            var probabilities = stackalloc float[atOnce];
            for (var token = 0; token < _exponentials.Length; token += atOnce)
            {
                var count = Math.Min(atOnce, _exponentials.Length - token);
                var i = 0;
                for (; i <= count - CMath.Count; i += CMath.Count)
                    (Vector256.Load(e + token + i) / Vector256.Create(sum)).Store(probabilities + i);
                for (; i < count; i++)
                    probabilities[i] = e[token + i] / sum;
                // Only among these the coin is looked for.
                var next = CMath.AddInOrder(cdf, probabilities, count);
                for (i = 0; coin < next && i < count; i++)
                    if (coin < (cdf += probabilities[i]))
                        return token + i;
                cdf = next;
            }
        }
        return _exponentials.Length - 1; // the sum was rounded to less than the coin
    }

    /// <summary>Picks from the likeliest tokens, as few as exceed top-p together.</summary>
    private int SampleTopP(float coin, float sum, int likeliest)
    {
        var candidates = Sorted(FindCandidates(sum));
        if (candidates.IsEmpty)
            return likeliest; // every token is below the cutoff: a flat distribution and a tiny top-p
        var (cumulative, count) = (0f, 0);
        while (cumulative <= TopP && count < candidates.Length)
            cumulative += ProbabilityOf(candidates[count++]);

        var r = coin * cumulative;
        var cdf = 0f;
        foreach (var candidate in candidates[..count])
        {
            cdf += ProbabilityOf(candidate);
            if (r < cdf)
                return TokenOf(candidate);
        }
        return TokenOf(candidates[count - 1]); // rounding
    }

    /// <summary>Tokens whose probability is at least (1 − top-p) / (n − 1): a smaller one cannot be in the set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private unsafe int FindCandidates(float sum)
    {
        var cutoff = (1f - TopP) / (_exponentials.Length - 1);
        var count = 0;
        fixed (float* e = _exponentials)
        {
            var found = stackalloc float[CMath.Count];
            // Most are far below. What is not, by more than rounding may be off, is divided.
            var least = Vector256.Create(cutoff * sum * 0.999999f);
            var token = 0;
            for (; token <= _exponentials.Length - CMath.Count; token += CMath.Count)
            {
                var exponentials = Vector256.Load(e + token);
                if (Vector256.LessThanAll(exponentials, least))
                    continue;
                var probabilities = exponentials / Vector256.Create(sum);
                probabilities.Store(found);
                for (var lanes = Vector256.GreaterThanOrEqual(probabilities, Vector256.Create(cutoff)).ExtractMostSignificantBits(); lanes != 0; lanes &= lanes - 1)
                {
                    var lane = BitOperations.TrailingZeroCount(lanes);
                    _candidates[count++] = Candidate(found[lane], token + lane);
                }
            }
            for (; token < _exponentials.Length; token++)
                if (e[token] / sum >= cutoff)
                    _candidates[count++] = Candidate(e[token] / sum, token);
        }
        return count;
    }

    /// <summary>The first candidates in the order of their numbers: by their digits, the last one first, where they are too many for a sort that compares.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private ReadOnlySpan<ulong> Sorted(int count)
    {
        const int digits = 1 << DigitBits;
        if (count < digits)
        {
            _candidates.AsSpan(0, count).Sort();
            return _candidates.AsSpan(0, count);
        }
        var (from, to) = (_candidates, _sorted);
        Span<int> places = stackalloc int[digits];
        // Candidates come in the order of their tokens, and what has the same digit stays in its order.
        for (var shift = TokenBits; shift < TokenBits + ProbabilityBits; shift += DigitBits)
        {
            places.Clear();
            foreach (var candidate in from.AsSpan(0, count))
                places[(int)(candidate >> shift) & (digits - 1)]++;
            var first = 0;
            for (var digit = 0; digit < digits; digit++)
                (places[digit], first) = (first, first + places[digit]);
            foreach (var candidate in from.AsSpan(0, count))
                to[places[(int)(candidate >> shift) & (digits - 1)]++] = candidate;
            (from, to) = (to, from);
        }
        return from.AsSpan(0, count);
    }

    // A candidate is one number that sorts by falling probability, then by the token: the bits of a float of 0 to 1 sort as it does.
    private static ulong Candidate(float probability, int token) => (ulong)(One - BitConverter.SingleToUInt32Bits(probability)) << TokenBits | (uint)token;

    private static float ProbabilityOf(ulong candidate) => BitConverter.UInt32BitsToSingle(One - (uint)(candidate >> TokenBits));

    private static int TokenOf(ulong candidate) => (int)(uint)candidate;

    /// <summary>Passes logits on unless all are the same: weights of zeros give that, and weights so large that sums overflow.</summary>
    /// <exception cref="InvalidDataException">All are the same.</exception>
    internal static ReadOnlySpan<float> RequireChoice(ReadOnlySpan<float> logits) =>
        logits.Length == 1 || logits.ContainsAnyExcept(logits[0]) ? logits : throw NotAModels(); // ends at the second logit of a sound model

    private static InvalidDataException NotAModels() =>
        new("the model's logits are all the same, infinite or not numbers (NaN): its weights are damaged, or training diverged. Export or download it again.");
}
