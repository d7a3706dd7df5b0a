using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>Where a model lies and in which precision it computes.</summary>
/// <param name="Device">The processor or a GPU.</param>
/// <param name="Weights">The precision of the weights, and of everything but products: float32, or float64 to check gradients.</param>
/// <param name="Products">The precision of matrix products and of attention: that of the weights, or bfloat16 (mixed precision).</param>
/// <remarks>
/// Mixed precision follows PyTorch's autocast: products and attention in bfloat16; norms, softmax of the loss, the residual stream,
/// the weights and their updates in float32.
/// </remarks>
public sealed record ModelPlacement(Device Device, ScalarType Weights, ScalarType Products)
{
    /// <summary>Everything in float32 on the processor.</summary>
    public static ModelPlacement Cpu { get; } = new(CPU, ScalarType.Float32, ScalarType.Float32);

    internal Tensor Empty(params long[] shape) => empty(shape, dtype: Weights, device: Device);

    internal Tensor ForProduct(Tensor x) => x.dtype == Products ? x : x.to(Products);
}
