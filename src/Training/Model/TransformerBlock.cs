using LlamaFullstack.Core;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>One layer: attention, then the feed-forward network, each on the normalised stream and added back to it.</summary>
internal sealed class TransformerBlock : nn.Module
{
    [ComponentName(Name = "attention_norm")]
    private readonly RmsNorm _attentionNorm;
    [ComponentName(Name = "attention")]
    private readonly Attention _attention;
    [ComponentName(Name = "ffn_norm")]
    private readonly RmsNorm _ffnNorm;
    [ComponentName(Name = "feed_forward")]
    private readonly FeedForward _feedForward;

    public TransformerBlock(LlamaConfig config, Rope rope, double dropout, ModelPlacement placement)
        : base(nameof(TransformerBlock))
    {
        _attentionNorm = new RmsNorm(config.Dim, config.NormEps, placement);
        _attention = new Attention(config, rope, dropout, placement);
        _ffnNorm = new RmsNorm(config.Dim, config.NormEps, placement);
        _feedForward = new FeedForward(config, dropout, placement);
        RegisterComponents();
    }

    /// <param name="x">The residual stream, (batch, time, dim).</param>
    /// <param name="layer">Index of this layer.</param>
    /// <param name="cache">Keys and values of earlier tokens, or null.</param>
    /// <returns>The residual stream, (batch, time, dim).</returns>
    public Tensor Forward(Tensor x, int layer, KvCache? cache)
    {
        // What no gradient needs is freed at the end of the layer, not of the step.
        using var scope = NewDisposeScope();
        var h = x + _attention.Forward(_attentionNorm.forward(x), layer, cache);
        return (h + _feedForward.forward(_ffnNorm.forward(h))).MoveToOuterDisposeScope();
    }
}
