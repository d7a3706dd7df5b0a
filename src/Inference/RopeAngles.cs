using LlamaFullstack.Core;

namespace LlamaFullstack.Inference;

/// <summary>RoPE's angles: pos · theta^(−2i / head_size) for pair i of a head, the same in every head.</summary>
internal sealed class RopeAngles
{
    private readonly float[] _frequencies;

    /// <summary>Computes the frequencies.</summary>
    public RopeAngles(LlamaConfig config)
    {
        _frequencies = new float[config.HeadSize / 2];
        for (var pair = 0; pair < Pairs; pair++)
            _frequencies[pair] = 1f / MathF.Pow(config.RopeTheta, 2 * pair / (float)config.HeadSize);
    }

    /// <summary>Pairs of features in a head.</summary>
    public int Pairs => _frequencies.Length;

    /// <summary>Sine and cosine of a pair's angle at a position.</summary>
    public (float Sin, float Cos) At(int pos, int pair) => MathF.SinCos(pos * _frequencies[pair]);
}
