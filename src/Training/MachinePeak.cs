using System.Diagnostics;
using LlamaFullstack.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training;

/// <summary>How many operations a second a machine does in matrix products, which is what a step's are measured against.</summary>
internal static class MachinePeak
{
    /// <summary>Measures large square products in the precision of a model's, for some 50 milliseconds on a processor.</summary>
    /// <returns>Operations a second; a multiplication and an addition are two.</returns>
    public static double Measure(ModelPlacement placement)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        // A processor multiplies float16 one number at a time: 1024³ would take seconds.
        var size = placement.Device.type != DeviceType.CPU ? 8192 : placement.Products == ScalarType.Float16 ? 128 : 1024;
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
}
