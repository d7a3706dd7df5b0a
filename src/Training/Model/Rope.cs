using LlamaFullstack.Core;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>
/// Rotary position embedding (Su et al., 2021): each pair of neighbouring features (2i, 2i+1) of a head is a point in the plane,
/// turned by the angle position · θ^(-2i / head_size), the engine's own (<see cref="RopeTable"/>). Has no parameters.
/// </summary>
internal sealed class Rope : IDisposable
{
    private readonly Tensor _cos; // (max_seq_len, 1, head_size / 2): the 1 stands for every head
    private readonly Tensor _sin;

    public Rope(LlamaConfig config, ModelPlacement placement)
    {
        using var scope = NewDisposeScope();
        // The angles in float32, as llama2.c has them, even where the model computes in float64.
        var frequencies = tensor(RopeTable.Frequencies(config));
        var angles = outer(arange(config.MaxSeqLen, dtype: ScalarType.Float32), frequencies).unsqueeze(1);
        _cos = angles.cos().to(placement.Weights, placement.Device).DetachFromDisposeScope();
        _sin = angles.sin().to(placement.Weights, placement.Device).DetachFromDisposeScope();
    }

    /// <summary>The cosines of all angles, (max_seq_len, 1, head_size / 2).</summary>
    public Tensor Cos => _cos;

    /// <summary>Their sines.</summary>
    public Tensor Sin => _sin;

    /// <summary>Turns every head of queries or keys.</summary>
    /// <param name="x">(batch, time, heads, head_size).</param>
    /// <param name="position">Position of the first token.</param>
    /// <returns>As <paramref name="x"/>, in its precision; computed in that of the tables.</returns>
    public Tensor Rotate(Tensor x, int position)
    {
        var cos = _cos.narrow(0, position, x.shape[1]);
        var sin = _sin.narrow(0, position, x.shape[1]);
        var pairs = x.to(_cos.dtype).view([.. x.shape[..3], x.shape[3] / 2, 2]);
        var (re, im) = (pairs.select(-1, 0), pairs.select(-1, 1));
        return stack([re * cos - im * sin, re * sin + im * cos], dim: -1).flatten(3).to(x.dtype);
    }

    public void Dispose()
    {
        _cos.Dispose();
        _sin.Dispose();
    }
}
