using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>y = x · Wᵀ, without a bias: Llama has none.</summary>
internal sealed class Linear : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "weight")]
    private readonly Parameter _weight;
    private readonly ModelPlacement _placement;

    /// <param name="inFeatures">Length of x.</param>
    /// <param name="outFeatures">Length of y.</param>
    /// <param name="std">Standard deviation of the initial weights, which are normal with mean 0.</param>
    /// <param name="placement">Where and in which precision.</param>
    public Linear(int inFeatures, int outFeatures, double std, ModelPlacement placement)
        : base(nameof(Linear))
    {
        _placement = placement;
        _weight = new Parameter(nn.init.normal_(placement.Empty(outFeatures, inFeatures), 0, std));
        RegisterComponents();
    }

    /// <param name="input">(…, in).</param>
    /// <returns>(…, out), in the precision of products.</returns>
    public override Tensor forward(Tensor input) =>
        nn.functional.linear(_placement.ForProduct(input), _placement.ForProduct(_weight));
}
