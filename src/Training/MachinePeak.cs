using System.Diagnostics;
using System.Globalization;
using LlamaFullstack.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training;

/// <summary>How many operations a second a machine does in matrix products, which is what a step's are measured against.</summary>
internal static class MachinePeak
{
    private const double SlowProducts = 5e9; // operations a second

    /// <summary>Measures large square products in the precision of a model's, for some 50 milliseconds on a processor.</summary>
    /// <returns>Operations a second; a multiplication and an addition are two.</returns>
    public static double Measure(ModelPlacement placement)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        if (placement.Device.type != DeviceType.CPU)
            return Measure(placement, 8192);
        if (placement.Products == ScalarType.Float32)
            return Measure(placement, 1024);
        var small = Measure(placement, 128);
        return small < SlowProducts ? small : Measure(placement, 1024); // a processor without instructions for 16 bits would take seconds
    }

    private static double Measure(ModelPlacement placement, int size)
    {
        var a = ones([size, size], dtype: placement.Products, device: placement.Device);
        var shortest = double.PositiveInfinity;
        for (var round = 0; round < 6; round++)
        {
            using var roundScope = NewDisposeScope();
            var start = Stopwatch.GetTimestamp();
            _ = a.mm(a)[0, 0].ToDouble(); // a GPU is done when the value has come
            shortest = Math.Min(shortest, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return 2.0 * size * size * size / shortest;
    }

    /// <summary>What to tell a user who asks for bfloat16 on a processor without instructions for it; null where it is not clearly the slower one.</summary>
    /// <param name="single">Operations a second in float32.</param>
    /// <param name="brain">Operations a second in bfloat16.</param>
    public static string? AdviceAgainstBfloat16(double single, double brain) => brain > 0.8 * single ? null : string.Create(CultureInfo.InvariantCulture,
        $"bfloat16 products are slower than float32's on this processor, {brain / 1e9:F0} and {single / 1e9:F0} GFLOP/s: --dtype=float32 trains faster here");
}
