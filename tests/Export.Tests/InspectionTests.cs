using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Export.Targets;

namespace LlamaFullstack.Export.Tests;

/// <summary>What inspect and verify say of files, sound and damaged.</summary>
public sealed class InspectionTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("stories260K/stories260K.bin", "llama2.c model, version 0", "F32")]
    [InlineData("gguf/stories260K.gguf", "GGUF", "F32")]
    [InlineData("train-checkpoint/ckpt.pt", "llama2.c checkpoint", "Float32")]
    public void Of_AModel_HasItsShapeAndItsTensors(string path, string format, string type)
    {
        var found = Inspection.Of(Fixtures.Path(path.Split('/')));
        Assert.Equal(format, found.Format);
        Assert.Equal(64, found.Config!.Dim);
        Assert.Equal(47, found.Tensors.Count);
        Assert.Equal((TensorNames.TokEmbeddings, type, 512L * 64 * 4), (found.Tensors[0].Name, found.Tensors[0].Type, found.Tensors[0].Bytes));
        Assert.Equal([512, 64], found.Tensors[0].Shape);
        Assert.True(found.Tensors[0].Largest > 0);
        Assert.Empty(found.Problems);
        Assert.Equal(64, Assert.Single(found.Files).Sha256.Length);
    }

    [Fact]
    public void Of_QuantisedModels_SaysIntoWhat()
    {
        ModelBinWriter.Write(_folder.File("m.bin"), new RandomModel(TinyGguf.Config, true, 1), version: 3);
        var types = Inspection.Of(_folder.File("m.bin")).Tensors.ToDictionary(tensor => tensor.Name, tensor => tensor.Type);
        Assert.Equal(("int8/32", "F32", "int4/32"), (types[TensorNames.TokEmbeddings], types[TensorNames.Norm], types[TensorNames.W2(0)]));
    }

    [Fact]
    public void Of_AFolder_HasTheChecksumOfEachFile()
    {
        HuggingFaceWriter.Write(_folder.File("hf"), new RandomModel(TinyGguf.Config, true, 1));
        var found = Inspection.Of(_folder.File("hf"));
        Assert.Equal(["config.json", "generation_config.json", "model.safetensors"], found.Files.Select(file => file.Name));
        Assert.Equal(found.Bytes, found.Files.Sum(file => file.Bytes));
        Assert.Equal(3, found.Files.Select(file => file.Sha256).Distinct().Count());
    }

    [Theory]
    [InlineData("stories260K/tok512.bin")]
    [InlineData("stories260K/tok512.model")]
    public void Of_ATokenizer_CountsItsTokens(string path)
    {
        var found = Inspection.Of(Fixtures.Path(path.Split('/')));
        Assert.Equal("tokenizer", found.Format);
        Assert.Equal("512", found.Metadata["tokens"]);
    }

    [Fact]
    public void Of_AQuantisedFile_NamesTheTypes()
    {
        ModelBinWriter.Write(_folder.File("m.bin"), new RandomModel(TinyGguf.Config, true, 1), version: 2);
        Assert.Equal("int8/32", Inspection.Of(_folder.File("m.bin")).Tensors[0].Type);
        var gguf = Inspection.Of(_folder.Write("m.gguf", TinyGguf.Build(GgufType.Q4).Build()));
        Assert.Equal("Q4_0", gguf.Tensors[0].Type);
        Assert.Equal("'llama'", gguf.Metadata["general.architecture"]);
        Assert.Equal("260 × Text", gguf.Metadata["tokenizer.ggml.tokens"]);
    }

    [Fact]
    public void Of_ADamagedFile_SaysWhatIsWrong()
    {
        var whole = TinyGguf.Build().Build();
        var cut = Inspection.Of(_folder.Write("cut.gguf", whole[..^100]));
        Assert.Null(cut.Format);
        Assert.Contains("Was it cut short?", Assert.Single(cut.Problems));

        var model = new RandomModel(TinyGguf.Config, true, 1);
        model[TensorNames.W2(0)][5] = float.NaN;
        ModelBinWriter.Write(_folder.File("nan.bin"), model, version: 1);
        Assert.Contains("layers.0.feed_forward.w2.weight has 1 values that are not finite", Assert.Single(Inspection.Of(_folder.File("nan.bin")).Problems));
        Assert.Throws<FileNotFoundException>(() => Inspection.Of(_folder.File("none")));
    }

    [Fact]
    public void Verify_TheSameWeightsInTwoFormats_AreTheSame()
    {
        using var a = ModelSource.Open(Fixtures.Path("stories260K", "stories260K.bin"));
        using var b = ModelSource.Open(Fixtures.Path("gguf", "stories260K.gguf"));
        var found = Verification.Of(a, b);
        Assert.Equal(["max_seq_len: 512, 2048"], found.Shape);
        Assert.Equal(0, found.Worst!.Difference);
        Assert.False(found.IsWithin(0));
        using var shorter = ModelSource.Open(b.Path, maxSeqLen: 512);
        Assert.True(Verification.Of(a, shorter).IsWithin(0));
    }

    [Fact]
    public void Verify_OneWeightChanged_SaysWhereAndByHowMuch()
    {
        var model = new RandomModel(TinyGguf.Config, true, 1);
        ModelBinWriter.Write(_folder.File("a.bin"), model, version: 1);
        model[TensorNames.W1(0)][3 * 32 + 7] += 0.25f;
        model[TensorNames.Norm][2] = float.NaN;
        ModelBinWriter.Write(_folder.File("b.bin"), model, version: 1);
        using var a = ModelSource.Open(_folder.File("a.bin"));
        using var b = ModelSource.Open(_folder.File("b.bin"));
        var found = Verification.Of(a, b);
        var w1 = found.Tensors.Single(tensor => tensor.Name == TensorNames.W1(0));
        Assert.Equal((3, 7), (w1.Row, w1.Column));
        Assert.Equal(0.25f, w1.Difference, 1e-6f);
        Assert.Equal(TensorNames.Norm, found.Worst!.Name);
        Assert.False(found.IsWithin(1000));
        Assert.Equal(2, found.Tensors.Count(tensor => tensor.Difference > 0));
    }

    [Theory]
    [InlineData("5 6 7", "5 6 7", 3, null, null)]
    [InlineData("5 6 7", "5 9 7", 1, 6, 9)]
    [InlineData("5 6", "5 6 7", 2, null, 7)]
    [InlineData("", "8", 0, null, 8)]
    public void TokenComparison_SaysWhereTheTextsPart(string a, string b, int shared, int? ofA, int? ofB)
    {
        int[] Ids(string text) => [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)];
        var found = TokenComparison.Of(Ids(a), Ids(b));
        Assert.Equal((shared, ofA, ofB), (found.Shared, found.A, found.B));
        Assert.Equal(a == b, found.AreSame);
    }

    [Fact]
    public void Verify_OtherShapes_ComparesNoWeights()
    {
        ModelBinWriter.Write(_folder.File("a.bin"), new RandomModel(TinyGguf.Config, true, 1), version: 1);
        ModelBinWriter.Write(_folder.File("b.bin"), new RandomModel(TinyGguf.Config with { HiddenDim = 60 }, true, 1), version: 1);
        using var a = ModelSource.Open(_folder.File("a.bin"));
        using var b = ModelSource.Open(_folder.File("b.bin"));
        var found = Verification.Of(a, b);
        Assert.Equal(["hidden_dim: 64, 60"], found.Shape);
        Assert.Null(found.Worst);
        Assert.False(found.IsWithin(1));
    }
}
