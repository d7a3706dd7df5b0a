using LlamaFullstack.Training.Model;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Tests;

public sealed class MachinePeakTests
{
    [Fact]
    public void AdviceAgainstBfloat16_SlowerThanFloat32_SaysWhatToDo() =>
        Assert.Equal(
            "bfloat16 products are slower than float32's on this processor, 1 and 168 GFLOP/s: --dtype=float32 trains faster here",
            MachinePeak.AdviceAgainstBfloat16(single: 168e9, brain: 1.2e9));

    [Fact]
    public void AdviceAgainstBfloat16_FasterThanFloat32_IsNone() =>
        Assert.Null(MachinePeak.AdviceAgainstBfloat16(single: 200e9, brain: 300e9));

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public void Measure_AnyPrecision_IsARate(ScalarType products) =>
        Assert.InRange(MachinePeak.Measure(new ModelPlacement(CPU, ScalarType.Float32, products)), 1e6, 1e14);
}
