using System.Text.Json;

namespace LlamaFullstack.Core.Tests;

public class LlamaConfigTests
{
    private static readonly LlamaConfig Default = new() { Dim = 288, HiddenDim = 768, NLayers = 6, NHeads = 6, NKvHeads = 6, VocabSize = 32000, MaxSeqLen = 256 };

    [Theory]
    [InlineData(288, 32, 768)]
    [InlineData(64, 4, 172)]
    [InlineData(64, 32, 192)]
    [InlineData(512, 32, 1376)]
    [InlineData(4096, 256, 11008)]
    public void DefaultHiddenDim_KnownModels_IsTheirs(int dim, int multipleOf, int expected) =>
        Assert.Equal(expected, LlamaConfig.DefaultHiddenDim(dim, multipleOf));

    [Fact]
    public void ParameterCount_DefaultModel_IsLlama2cs() => Assert.Equal(15_187_968 + 3_744, Default.ParameterCount);

    [Fact]
    public void Json_HasLlama2cNames_AndReadsBack()
    {
        var json = JsonSerializer.Serialize(Default, CoreJsonContext.Default.LlamaConfig);
        Assert.StartsWith("{\"dim\":288,\"hidden_dim\":768,\"n_layers\":6,\"n_heads\":6,\"n_kv_heads\":6,\"vocab_size\":32000,\"max_seq_len\":256", json);
        Assert.Equal(Default, JsonSerializer.Deserialize(json, CoreJsonContext.Default.LlamaConfig));
    }

    [Fact]
    public void Validated_ImpossibleShape_NamesWhereAndWhat()
    {
        var error = Assert.Throws<InvalidDataException>(() => (Default with { NHeads = 7 }).Validated("out/model.bin"));
        Assert.Equal("out/model.bin: n_heads 7 must divide dim 288.", error.Message);
        Assert.NotNull((Default with { RopeTheta = float.NaN }).FindProblem());
        Assert.NotNull((Default with { NormEps = 0 }).FindProblem());
        Assert.Null(Default.FindProblem());
    }

    [Fact]
    public void TensorNames_DefaultModel_HasLlama2cs56()
    {
        Assert.Equal(43 + 13, TensorNames.All(Default, sharedClassifier: true).Count());
        Assert.Equal(13, TensorNames.All(Default, sharedClassifier: true).Count(tensor => tensor.IsVector));
    }
}
