using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Inference.Tests;

/// <summary>GGUF files in the engine: the same numbers as the llama2.c file of the same weights.</summary>
public sealed class GgufRunTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Forward_Stories260K_GivesTheBitsOfTheModelFile()
    {
        using var gguf = LlamaModel.Open(Fixtures.Path("gguf", "stories260K.gguf"));
        using var bin = LlamaModel.Open(Stories260K.Path);
        Assert.Equal(bin.WeightBytesPerToken, gguf.WeightBytesPerToken);
        AssertSameLogits(bin, gguf, Stories260K.GreedyIds);
    }

    // A version 2 file of the weights that Q8_0 holds has the same values and scales: 127 · scale is exact in float32, since scale has 11 bits.
    [Theory]
    [InlineData("F32", 1)]
    [InlineData("F16", 1)]
    [InlineData("BF16", 1)]
    [InlineData("Q8_0", 2)]
    public void Forward_EveryType_GivesTheBitsOfTheModelFileOfItsWeights(string typeName, int version)
    {
        var path = _folder.Write("m.gguf", TinyGguf.Build(GgufType.All.Single(type => type.Name == typeName)).Build());
        using (var source = GgufModel.Open(path))
            ModelBinWriter.Write(_folder.File("m.bin"), source, version, groupSize: version == 2 ? 32 : null);
        using var gguf = LlamaModel.Open(path);
        using var bin = LlamaModel.Open(_folder.File("m.bin"));
        Assert.Equal(version == 2 ? "int8" : "fp32", gguf.WeightType);
        Assert.Equal(bin.WeightBytesPerToken, gguf.WeightBytesPerToken);
        AssertSameLogits(bin, gguf, [1, 7, 259, 0, 42, 3]);
    }

    // Version 3 holds 4 bits as Q4_0 does and its vocabulary as int8; weights that Q4_0 holds have their own codes and scale as the nearest in version 3.
    [Fact]
    public void Forward_Q4_GivesTheBitsOfVersion3()
    {
        var file = TinyGguf.Build(GgufType.Q4);
        foreach (var name in (string[])[TensorNames.TokEmbeddings, TensorNames.Output])
        {
            var bytes = new byte[GgufType.Q8.BytesOf(TinyGguf.Weights[name].Length)];
            Assert.True(GgufType.Q8.TryWrite(TinyGguf.Weights[name], bytes));
            file.Change(GgufNames.Of(name), type: GgufType.Q8.Code, data: bytes);
        }
        var path = _folder.Write("m.gguf", file.Build());
        using (var source = GgufModel.Open(path))
            ModelBinWriter.Write(_folder.File("m.bin"), source, version: 3, groupSize: 32);
        using var gguf = LlamaModel.Open(path);
        using var bin = LlamaModel.Open(_folder.File("m.bin"));
        Assert.Equal("int4", gguf.WeightType);
        Assert.Equal(bin.WeightBytesPerToken, gguf.WeightBytesPerToken);
        AssertSameLogits(bin, gguf, [1, 7, 259, 0, 42, 3]);
    }

    // The vocabulary in 4 bits, too, which no version of the model file has: the embedding is exact, and products are those of the values up to the rounding of activations.
    [Fact]
    public void Forward_Q4Throughout_IsCloseToItsValues()
    {
        var path = _folder.Write("m.gguf", TinyGguf.Build(GgufType.Q4).Build());
        AssertCloseToItsValues(path);
    }

    // One of the three that share an activation is float32: it cannot be brought into int8 for the other two.
    [Fact]
    public void Forward_MixedTypesInOneLayer_Runs()
    {
        var k = TinyGguf.Weights[TensorNames.Wk(0)];
        var bytes = new byte[k.Length * sizeof(float)];
        Buffer.BlockCopy(k, 0, bytes, 0, bytes.Length);
        var path = _folder.Write("m.gguf", TinyGguf.Build(GgufType.Q8).Change("blk.0.attn_k.weight", type: 0, data: bytes).Build());
        AssertCloseToItsValues(path);
    }

    [Fact]
    public void Open_AScaleThatIsNoNumber_IsRefused()
    {
        var data = new byte[GgufType.Q8.BytesOf(64 * 32)];
        data[1] = 0x7E; // NaN
        var path = _folder.Write("m.gguf", TinyGguf.Build(GgufType.Q8).Change("blk.0.ffn_gate.weight", data: data).Build());
        Assert.Contains("blk.0.ffn_gate.weight has a block whose scale", Assert.Throws<InvalidDataException>(() => LlamaModel.Open(path)).Message);
    }

    private void AssertCloseToItsValues(string path)
    {
        using var mixed = LlamaModel.Open(path);
        using var transformer = new Transformer(mixed);
        using (var source = GgufModel.Open(path))
            ModelBinWriter.Write(_folder.File("m.bin"), source, version: 1);
        using var exact = LlamaModel.Open(_folder.File("m.bin"));
        using var reference = new Transformer(exact);
        for (var pos = 0; pos < 5; pos++)
        {
            var logits = transformer.Forward(5 + pos, pos).ToArray();
            var expected = reference.Forward(5 + pos, pos).ToArray();
            // Only activations are rounded, to half of 1/127 of the largest in a group: some 1 % of logits of size 1 after 64 · 4 products.
            for (var i = 0; i < expected.Length; i++)
                Assert.InRange(logits[i] - expected[i], -0.1, 0.1);
        }
    }

    private static void AssertSameLogits(LlamaModel expected, LlamaModel actual, int[] ids)
    {
        using var a = new Transformer(expected);
        using var b = new Transformer(actual);
        for (var pos = 0; pos < ids.Length; pos++)
            Assert.Equal(a.Forward(ids[pos], pos).ToArray(), b.Forward(ids[pos], pos).ToArray());
    }
}
