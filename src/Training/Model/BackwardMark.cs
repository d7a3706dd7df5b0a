using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>y = x, and in the backward pass a call, when the gradient comes by: all that was computed from y has its gradient then.</summary>
/// <remarks>Torch's autograd adds to a parameter's gradient before it goes on to any other node that is ready.</remarks>
internal sealed class BackwardMark : autograd.SingleTensorFunction<BackwardMark>
{
    private const string Reached = "reached";

    /// <inheritdoc/>
    public override string Name => nameof(BackwardMark);

    /// <param name="x">Any tensor that needs a gradient.</param>
    /// <param name="layer">What <paramref name="reached"/> is told.</param>
    /// <param name="reached">Called on the thread of the backward pass.</param>
    public static Tensor Apply(Tensor x, int layer, Action<int> reached) => apply(x, (Action)(() => reached(layer)));

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.save_data(Reached, vars[1]);
        return ((Tensor)vars[0]).alias();
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        ((Action)ctx.get_data(Reached))();
        return [grad_output, null!];
    }
}
