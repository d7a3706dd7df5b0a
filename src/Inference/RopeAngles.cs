using LlamaFullstack.Core;

namespace LlamaFullstack.Inference;

/// <summary>RoPE's angles: position · frequency for every pair of a head, the same in every head.</summary>
/// <param name="frequencies">Radians per position, of every pair.</param>
internal sealed class RopeAngles(float[] frequencies)
{
    /// <summary>Pairs of features in a head.</summary>
    public int Pairs => frequencies.Length;

    /// <summary><see cref="RopeTable.Frequencies"/> by C's powf, which rounds one of a thousand to a neighbour.</summary>
    public static float[] FrequenciesOfC(LlamaConfig config) => config.RopeScaling is null
        ? [.. Enumerable.Range(0, config.HeadSize / 2).Select(pair => 1.0f / MathF.Pow(config.RopeTheta, 2 * pair / (float)config.HeadSize))]
        : RopeTable.Frequencies(config); // llama2.c has none

    /// <summary>Sine and cosine of a pair's angle at a position.</summary>
    public (float Sin, float Cos) At(int pos, int pair) => MathF.SinCos(pos * frequencies[pair]);
}
