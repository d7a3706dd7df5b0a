using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>Where a model lies and in which precision it computes.</summary>
/// <param name="Device">The processor or a GPU.</param>
/// <param name="Weights">The precision of the weights, and of everything but products: float32, or float64 to check gradients.</param>
/// <param name="Products">The precision of matrix products and of attention: that of the weights, or bfloat16 or float16 (mixed precision).</param>
/// <remarks>
/// Mixed precision follows PyTorch's autocast: products and attention in 16 bits; norms, softmax of the loss, the residual stream,
/// the weights and their updates in float32.
/// </remarks>
public sealed record ModelPlacement(Device Device, ScalarType Weights, ScalarType Products)
{
    /// <summary>Everything in float32 on the processor.</summary>
    public static ModelPlacement Cpu { get; } = new(CPU, ScalarType.Float32, ScalarType.Float32);

    /// <summary>Finds the place that a user asks for.</summary>
    /// <param name="device">"cpu", "cuda" or "cuda:N"; null is cuda where there is one, else cpu.</param>
    /// <param name="dtype">"float32", "bfloat16" or "float16"; null is bfloat16 on cuda and float32 on cpu.</param>
    /// <exception cref="ArgumentException">This system or this program does not have it; the message says why.</exception>
    public static ModelPlacement Choose(string? device, string? dtype)
    {
        var hasCuda = cuda.is_available();
        device ??= hasCuda ? "cuda" : "cpu";
        var type = device == "cpu" ? DeviceType.CPU : DeviceType.CUDA;
        var index = 0;
        if (type == DeviceType.CUDA && device != "cuda" && !(device.StartsWith("cuda:", StringComparison.Ordinal)
            && int.TryParse(device.AsSpan("cuda:".Length), NumberStyles.None, CultureInfo.InvariantCulture, out index)))
            throw new ArgumentException($"--device {device}: must be cpu, cuda or cuda:N.");
        if (type == DeviceType.CUDA && !hasCuda)
            throw new ArgumentException($"--device {device}: there is no CUDA device here, or this program was built for the CPU. Build it with -p:TorchBackend=cuda.");
        if (type == DeviceType.CUDA && index >= cuda.device_count())
            throw new ArgumentException($"--device {device}: there are {cuda.device_count()} CUDA devices here, numbered from 0.");
        var products = (dtype ?? (type == DeviceType.CUDA ? "bfloat16" : "float32")) switch
        {
            "float32" => ScalarType.Float32,
            "bfloat16" => ScalarType.BFloat16,
            "float16" => ScalarType.Float16, // with a loss scale, see LossScale
            _ => throw new ArgumentException($"--dtype {dtype}: must be float32, bfloat16 or float16."),
        };
        return new ModelPlacement(type == DeviceType.CPU ? CPU : new Device(type, index), ScalarType.Float32, products);
    }

    /// <summary>"cpu in float32 with 2 threads", for people.</summary>
    public override string ToString()
    {
        var precision = Products == Weights ? $"{Weights}" : $"{Products} products and {Weights} weights";
        return Device.type == DeviceType.CPU
            ? $"cpu in {precision.ToLowerInvariant()}, {get_num_threads()} threads"
            : $"cuda:{Device.index} in {precision.ToLowerInvariant()}";
    }

    internal Tensor Empty(params long[] shape) => empty(shape, dtype: Weights, device: Device);

    internal Tensor ForProduct(Tensor x) => x.dtype == Products ? x : x.to(Products);
}
