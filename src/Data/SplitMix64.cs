namespace LlamaFullstack.Data;

/// <summary>
/// A random number generator whose sequence never changes: Steele, Lea and Flood's SplitMix64 (2014), with Vigna's constants.
/// System.Random promises no such thing between versions of .NET, and the order of the data and the sample stories hang on it.
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

    /// <summary>A number in [0, count): the high word of bits · count, with a bias below count · 2⁻⁶⁴.</summary>
    public int Below(int count) => (int)Math.BigMul(Next(), (ulong)count, out _);

    /// <summary>The numbers 0 … count - 1 in random order (Fisher and Yates).</summary>
    public int[] Permutation(int count)
    {
        var order = new int[count];
        for (var i = 0; i < count; i++)
        {
            var j = Below(i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        return order;
    }
}
