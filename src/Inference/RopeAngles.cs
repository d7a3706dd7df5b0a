using LlamaFullstack.Core;

namespace LlamaFullstack.Inference;

/// <summary>RoPE's angles: position · frequency for every pair of a head, the same in every head.</summary>
internal sealed class RopeAngles(LlamaConfig config)
{
    private readonly float[] _frequencies = RopeTable.Frequencies(config);

    /// <summary>Pairs of features in a head.</summary>
    public int Pairs => _frequencies.Length;

    /// <summary>Sine and cosine of a pair's angle at a position.</summary>
    public (float Sin, float Cos) At(int pos, int pair) => MathF.SinCos(pos * _frequencies[pair]);
}
