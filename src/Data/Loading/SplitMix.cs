namespace LlamaFullstack.Data.Loading;

/// <summary>
/// SplitMix64 (Steele, Lea and Flood, 2014): a small random generator whose sequence is fixed by this code, so that the order of the data
/// stays the same on every system and in every version of .NET.
/// </summary>
internal struct SplitMix(ulong seed)
{
    private ulong _state = seed;

    /// <summary>64 random bits.</summary>
    public ulong Next()
    {
        var z = _state += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

    /// <summary>The numbers 0 … count - 1 in random order (Fisher and Yates).</summary>
    public int[] Permutation(int count)
    {
        var order = new int[count];
        for (var i = 0; i < count; i++)
        {
            // The high half of a product maps 64 bits to 0 … i with a bias below 2^-32.
            var j = (int)Math.BigMul(Next(), (ulong)i + 1, out _);
            order[i] = order[j];
            order[j] = i;
        }
        return order;
    }
}
