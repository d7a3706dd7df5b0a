using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference.Tests;

public sealed class KernelSetsTests
{
    [Fact]
    public void Supported_AnyProcessor_EndsWithScalar() => Assert.Equal("scalar", KernelSets.Supported[^1].Name);

    [Fact]
    public void Select_EachSupportedName_IsThatSet() =>
        Assert.All(KernelSets.Supported, set => Assert.Same(set, KernelSets.Select(set.Name)));

    [Fact]
    public void Select_UnknownName_NamesWhatThereIs()
    {
        var error = Assert.Throws<ArgumentException>(() => KernelSets.Select("v1024"));
        Assert.Equal($"LLAMAFS_KERNELS=v1024: no such kernel set; expected one of {string.Join(", ", KernelSets.Supported.Select(s => s.Name))}.", error.Message);
    }
}
