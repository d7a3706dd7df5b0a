using LlamaFullstack.Core;
using TorchSharp.Utils;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace LlamaFullstack.Training.Model;

/// <summary>SwiGLU (Shazeer, 2020): w2(silu(w1 x) · w3 x), where silu(z) = z / (1 + e^-z).</summary>
internal sealed class FeedForward : nn.Module<Tensor, Tensor>
{
    private readonly double _dropout;
    [ComponentName(Name = "w1")]
    private readonly Linear _w1;
    [ComponentName(Name = "w2")]
    private readonly Linear _w2;
    [ComponentName(Name = "w3")]
    private readonly Linear _w3;

    public FeedForward(LlamaConfig config, double dropout, ModelPlacement placement)
        : base(nameof(FeedForward))
    {
        _dropout = dropout;
        _w1 = new Linear(config.Dim, config.HiddenDim, Transformer.InitStd, placement);
        _w2 = new Linear(config.HiddenDim, config.Dim, Transformer.ResidualInitStd(config), placement);
        _w3 = new Linear(config.Dim, config.HiddenDim, Transformer.InitStd, placement);
        RegisterComponents();
    }

    /// <param name="input">(batch, time, dim).</param>
    /// <returns>(batch, time, dim).</returns>
    public override Tensor forward(Tensor input) =>
        dropout(_w2.forward(silu(_w1.forward(input)) * _w3.forward(input)), _dropout, training);
}
