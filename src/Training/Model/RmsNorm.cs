using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>y = w · x / sqrt(mean(x²) + ε), over the last dimension (Zhang and Sennrich, 2019).</summary>
internal sealed class RmsNorm : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "weight")]
    private readonly Parameter _weight;
    private readonly float _epsilon;

    public RmsNorm(int dim, float epsilon, ModelPlacement placement)
        : base(nameof(RmsNorm))
    {
        _epsilon = epsilon;
        _weight = new Parameter(nn.init.ones_(placement.Empty(dim)));
        RegisterComponents();
    }

    /// <param name="input">(…, dim).</param>
    /// <returns>(…, dim).</returns>
    public override Tensor forward(Tensor input) =>
        input * rsqrt(input.square().mean([-1], keepdim: true) + _epsilon) * _weight;
}
