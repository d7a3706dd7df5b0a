using LlamaFullstack.Training.Native;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace LlamaFullstack.Training.Model;

/// <summary>
/// The mean over all positions of -log softmax(x · Wᵀ)[target], for some positions at a time: the scores of a whole batch, positions ×
/// vocab_size, would be a step's largest tensor by far, and autograd would keep it two or three times over.
/// </summary>
/// <remarks>
/// A position's gradient, softmax - onehot(target), needs nothing that comes later. So the forward pass already takes it back to x and W
/// while the scores are at hand, and the backward pass only multiplies by the loss's own gradient.
/// </remarks>
internal sealed class ClassifierLoss : autograd.SingleTensorFunction<ClassifierLoss>
{
    // Values in the scores of one part: 64 MB of float32. Fewer would have the gradient of W added up more often.
    private const long PartSize = 1 << 24;

    /// <inheritdoc/>
    public override string Name => nameof(ClassifierLoss);

    /// <param name="x">(positions, dim).</param>
    /// <param name="weight">(vocab_size, dim).</param>
    /// <param name="targets">(positions), 64-bit integers; positions with -1 do not count.</param>
    /// <param name="placement">The precision of products.</param>
    /// <param name="partSize">How many scores to compute at a time.</param>
    /// <returns>A scalar.</returns>
    public static Tensor Of(Tensor x, Tensor weight, Tensor targets, ModelPlacement placement, long partSize = PartSize) =>
        is_grad_enabled() ? apply(x, weight, targets, placement, partSize) : Compute(x, weight, targets, placement, partSize, gradX: null, gradWeight: null);

    /// <inheritdoc/>
    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        var (x, weight) = ((Tensor)vars[0], (Tensor)vars[1]);
        var (gradX, gradWeight) = (empty_like(x), zeros_like(weight));
        ctx.save_for_backward([gradX, gradWeight]);
        return Compute(x, weight, (Tensor)vars[2], (ModelPlacement)vars[3], (long)vars[4], gradX, gradWeight);
    }

    /// <inheritdoc/>
    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var saved = ctx.get_saved_variables();
        return [saved[0] * grad_output, saved[1] * grad_output, null!, null!, null!];
    }

    private static Tensor Compute(Tensor x, Tensor weight, Tensor targets, ModelPlacement placement, long partSize, Tensor? gradX, Tensor? gradWeight)
    {
        using var scope = NewDisposeScope();
        var counts = targets.ne(-1).to(x.dtype).unsqueeze(1); // (positions, 1): 1, or 0 where the target is -1
        var share = counts / counts.sum();
        var w = placement.ForProduct(weight);
        var loss = zeros(1, dtype: x.dtype, device: x.device);
        var rows = Math.Max(1, partSize / weight.shape[0]);
        for (var first = 0L; first < x.shape[0]; first += rows)
        {
            using var partScope = NewDisposeScope();
            Tensor Part(Tensor whole) => whole.narrow(0, first, Math.Min(rows, whole.shape[0] - first));
            var chosen = Part(targets).clamp_min(0).unsqueeze(1);
            var logProbabilities = log_softmax(linear(placement.ForProduct(Part(x)), w).to(x.dtype), -1);
            loss.sub_((logProbabilities.gather(1, chosen) * Part(share)).sum());
            if (gradX is null || gradWeight is null)
                continue;
            var gradient = logProbabilities.exp_().scatter_add_(1, chosen, full_like(chosen, -1, dtype: x.dtype));
            var g = placement.ForProduct(gradient);
            Part(gradX).copy_(g.mm(w)).mul_(Part(share));
            gradWeight.add_(g.t().mm(placement.ForProduct(Part(x) * Part(share))), HeldNumbers.One);
        }
        return loss.squeeze().MoveToOuterDisposeScope();
    }
}
