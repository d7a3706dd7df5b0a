using LlamaFullstack.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Tests.Native;

public sealed class OneDnnProductsTests
{
    // Sizes around the smallest product that oneDNN gets, and both layouts of each side: those of a linear layer and of its gradients.
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(3, 5, 2)]
    [InlineData(64, 64, 17)]
    [InlineData(129, 64, 33)]
    [InlineData(40, 288, 97)]
    public void Multiply_AnyLayout_IsTheProductInFloat64(int rows, int inner, int columns)
    {
        Assert.SkipUnless(OneDnnProducts.IsInstalled, "products go to oneDNN on AMD's processors alone");
        using var scope = NewDisposeScope();
        manual_seed(1);
        foreach (var isTransposed in (bool[])[false, true])
        {
            var a = isTransposed ? randn(inner, rows).t() : randn(rows, inner + 3).narrow(1, 2, inner);
            var b = isTransposed ? randn(inner + 2, columns).narrow(0, 2, inner) : randn(columns + 1, inner).narrow(0, 1, columns).t();
            var exact = a.to(ScalarType.Float64).mm(b.to(ScalarType.Float64));
            // n · ε · Σ|a·b|, whatever the order of the sum
            var bound = a.abs().mm(b.abs()).to(ScalarType.Float64) * (inner * Math.Pow(2, -24)) + 1e-30;
            var error = (a.mm(b).to(ScalarType.Float64) - exact).abs();
            Assert.True(error.le(bound).all().ToBoolean(), $"{rows} x {inner} x {columns}: off by {error.max().ToDouble()}");
        }
    }

    [Fact]
    public void Multiply_Twice_GivesTheSameBits()
    {
        using var scope = NewDisposeScope();
        manual_seed(2);
        var (a, b) = (randn(300, 96), randn(96, 200));
        Assert.True(a.mm(b).eq(a.mm(b)).all().ToBoolean());
    }

    [Fact]
    public void Multiply_OtherTypes_AreLeftToTorch()
    {
        using var scope = NewDisposeScope();
        var whole = ones(70, 70, dtype: ScalarType.Int64);
        Assert.True(whole.mm(whole).eq(70).all().ToBoolean());
        var half = ones(70, 70, dtype: ScalarType.BFloat16);
        Assert.True(half.mm(half).eq(70).all().ToBoolean());
    }
}
