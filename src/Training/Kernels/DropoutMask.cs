using System.Numerics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>
/// Which activations dropout sets to zero (Srivastava et al., 2014); the others are multiplied with 1 / (1 - share). Whether one is dropped
/// follows from a key and its index alone, so the backward pass finds the same ones without a mask in memory, on any number of threads.
/// </summary>
/// <remarks>The default value drops nothing. Knows nothing about torch: whoever makes one draws the key.</remarks>
internal readonly unsafe struct DropoutMask
{
    private readonly double _share;
    private readonly ulong _key;
    private readonly uint _bound; // what is below is dropped, of 2^32

    /// <param name="share">Of what is dropped, in [0, 1).</param>
    /// <param name="key">Decides which.</param>
    public DropoutMask(double share, ulong key) => (_share, _key, _bound) = (share, key, (uint)(share * (1L << 32)));

    /// <summary>Whether anything is dropped.</summary>
    public bool IsOn => _bound > 0;

    /// <summary>The mask of a part, independent of those of others.</summary>
    public DropoutMask Of(int part)
    {
        var z = _key + (ulong)(part + 1L) * 0x9e3779b97f4a7c15; // SplitMix64 (Steele et al., 2014)
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return new(_share, z ^ (z >> 31));
    }

    /// <summary>The mask of one place of a layer.</summary>
    public DropoutMask Of(int layer, DropoutPlace place) => Of(layer).Of((int)place);

    /// <summary>What the value at an index is multiplied with: 0, or 1 / (1 - share).</summary>
    /// <remarks>The bits are those of Wellons's lowbias32 with a key in each of its two rounds; the last shift, which changes lower bits alone, is left out.</remarks>
    public double Factor<T>(uint index) where T : unmanaged
    {
        var bits = index * (uint)(sizeof(T) / sizeof(uint)) + (uint)(sizeof(T) / sizeof(uint) - 1);
        bits = (bits ^ (bits >> Shift0) ^ Key0) * Factor0;
        bits = (bits ^ (bits >> Shift1) ^ Key1) * Factor1;
        return bits < _bound ? 0 : Scale;
    }

    /// <summary>Multiplies neighbouring values with their factors.</summary>
    /// <param name="length">How many.</param>
    /// <param name="x">The values.</param>
    /// <param name="index">The first one's.</param>
    public void Apply<V, T>(nint length, T* x, uint index = 0) where V : unmanaged, IRegister<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (!IsOn)
            return;
        var (bound, key0, key1, scale) = (_bound, Key0, Key1, V.Create(T.CreateTruncating(Scale)));
        nint i = 0;
        for (; i + V.Count <= length; i += V.Count)
        {
            var bits = V.CountBits((index + (uint)i) * (uint)(sizeof(T) / sizeof(uint)));
            bits = V.MixBits(V.MixBits(bits, Shift0, key0, Factor0), Shift1, key1, Factor1);
            V.ZeroWhereBitsAreBelow(bound, bits, V.Load(x + i) * scale).Store(x + i);
        }
        for (; i < length; i++)
            x[i] *= T.CreateTruncating(Factor<T>(index + (uint)i));
    }

    private const int Shift0 = 16, Shift1 = 15;
    private const uint Factor0 = 0x7feb352d, Factor1 = 0x846ca68b;

    private double Scale => 1 / (1 - _share);

    private uint Key0 => (uint)_key;

    private uint Key1 => (uint)(_key >> 32);
}

/// <summary>Where llama2.c has dropout. The embedding counts as part of layer 0.</summary>
internal enum DropoutPlace
{
    Embedding,
    AttentionWeights,
    AttentionOutput,
    FeedForwardOutput,
}
