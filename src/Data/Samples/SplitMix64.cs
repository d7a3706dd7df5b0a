namespace LlamaFullstack.Data.Samples;

/// <summary>
/// A random number generator whose sequence never changes: Steele, Lea and Flood's SplitMix64 (2014), with Vigna's constants.
/// System.Random promises no such thing between versions of .NET.
/// </summary>
/// <param name="seed">Any value; each gives its own sequence.</param>
internal sealed class SplitMix64(ulong seed)
{
    private ulong _state = seed;

    /// <summary>The next 64 random bits.</summary>
    public ulong Next()
    {
        var z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>A number in [0, count): the high word of bits · count, uniform within 2⁻⁶⁴ · count.</summary>
    public int Below(int count) => (int)Math.BigMul(Next(), (ulong)count, out _);
}
