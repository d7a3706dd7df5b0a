using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Quantization;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Core.Tests;

/// <summary>What a sound GGUF file gives.</summary>
public sealed class GgufTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public static TheoryData<string> Types => [.. GgufType.All.Select(type => type.Name)];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Open_Stories260K_HasTheConfigurationTheWeightsAndTheTiedClassifier()
    {
        using var model = GgufModel.Open(Fixtures.Path("gguf", "stories260K.gguf"));
        using var expected = ModelBinFile.Open(Fixtures.Path("stories260K", "stories260K.bin"));
        Assert.Equal(expected.Config with { MaxSeqLen = 2048 }, model.Config); // what its converter put there
        Assert.True(model.SharedClassifier); // though it holds the embedding twice
        foreach (var tensor in TensorNames.All(model.Config, sharedClassifier: false))
            Assert.Equal(Values(expected, tensor), Values(model, tensor));
    }

    [Fact]
    public void Read_VocabularyOfStories260K_IsTok512()
    {
        var vocabulary = GgufVocabulary.Read(Fixtures.Path("gguf", "stories260K.gguf"));
        TokenizerBin.Write(_folder.File("tokenizer.bin"), vocabulary);
        Assert.Equal(File.ReadAllBytes(Fixtures.Path("stories260K", "tok512.bin")), File.ReadAllBytes(_folder.File("tokenizer.bin")));
        var model = SentencePieceModel.Read(Fixtures.Path("stories260K", "tok512.model")).Vocabulary;
        Assert.Equal(model.Pieces.Select(piece => piece.Type), vocabulary.Pieces.Select(piece => piece.Type));
    }

    [Theory, MemberData(nameof(Types))]
    public void Read_EveryType_GivesTheWeightsWithinItsStep(string name)
    {
        var type = GgufType.All.Single(type => type.Name == name);
        using var model = GgufModel.Open(_folder.Write("m.gguf", TinyGguf.Build(type).Build()));
        Assert.Equal(TinyGguf.Config, model.Config);
        Assert.False(model.SharedClassifier);
        // Weights lie within ±0.5. float16 rounds to 11 bits and bfloat16 to 8; a block's scale is at most 0.5 / 127 or 0.5 / 8, itself rounded to 11
        // bits; Q4_0 reaches only 7 of 8 steps on the side away from its largest weight, where it is off by a whole step.
        var step = name switch { "F32" => 0, "F16" => 0.5 / 2048, "BF16" => 0.5 / 256, "Q8_0" => 0.5 / 127 * 0.5 + 0.5 / 2048, _ => 0.5 / 8 + 0.5 / 2048 };
        foreach (var tensor in TensorNames.All(TinyGguf.Config, sharedClassifier: false))
        {
            var expected = TinyGguf.Weights[tensor.Name];
            var actual = Values(model, tensor);
            for (var i = 0; i < expected.Length; i++)
                Assert.InRange(actual[i] - expected[i], tensor.IsVector ? 0 : -step, tensor.IsVector ? 0 : step);
        }
    }

    [Fact]
    public void Open_Version2AndOptionalKeysMissing_HasTheDefaults()
    {
        var file = TinyGguf.Build().Remove("llama.attention.head_count_kv").Remove("llama.rope.dimension_count").RemoveTensor("output.weight");
        file.Version = 2;
        file.Change("blk.0.attn_k.weight", [32, 32], data: new byte[4096]).Change("blk.0.attn_v.weight", [32, 32], data: new byte[4096]);
        using var model = GgufModel.Open(_folder.Write("m.gguf", file.Build()));
        Assert.Equal(4, model.Config.NKvHeads);
        Assert.Equal(LlamaConfig.DefaultRopeTheta, model.Config.RopeTheta);
        Assert.True(model.SharedClassifier);
    }

    [Fact]
    public void Open_ConstantsOfTheirOwn_AreKept()
    {
        var file = TinyGguf.Build().Set("llama.rope.freq_base", 1_000_000f).Set("llama.attention.layer_norm_rms_epsilon", 1e-6f).Set("llama.context_length", GgufBytes.U64, BitConverter.GetBytes(4096UL));
        using var model = GgufModel.Open(_folder.Write("m.gguf", file.Build()));
        Assert.Equal(TinyGguf.Config with { RopeTheta = 1_000_000, NormEps = 1e-6f, MaxSeqLen = 4096 }, model.Config);
    }

    [Fact]
    public void Open_AnotherAlignment_FindsTheTensors()
    {
        var file = TinyGguf.Build().Set("general.alignment", 64u);
        file.Alignment = 64;
        using var model = GgufModel.Open(_folder.Write("m.gguf", file.Build()));
        Assert.Equal(TinyGguf.Weights[TensorNames.W2(0)], Values(model, new(TensorNames.W2(0), 32, 64)));
    }

    [Fact]
    public void Read_VocabularyRules_AreWhatTheFileSays()
    {
        var plain = GgufVocabulary.Read(_folder.Write("a.gguf", TinyGguf.Build().Build()));
        Assert.True(plain.AddDummyPrefix);
        Assert.False(plain.RemoveExtraWhitespaces);
        Assert.Equal(" a", plain.Pieces[259].ToString());
        Assert.Equal(PieceType.Normal, plain.Pieces[259].Type);
        var other = GgufVocabulary.Read(_folder.Write("b.gguf",
            TinyGguf.Build().Set("tokenizer.ggml.add_space_prefix", false).Set("tokenizer.ggml.remove_extra_whitespaces", true).Build()));
        Assert.False(other.AddDummyPrefix);
        Assert.True(other.RemoveExtraWhitespaces);
    }

    // ggml's quantize_row_q8_0_ref and quantize_row_q4_0_ref by hand: scales 1 and -1 (as float16), values that meet the rounding rules.
    [Fact]
    public void TryQuantize_Blocks_AreGgmlsBytes()
    {
        float[] values = [127, 0.5f, 1.5f, -0.5f, -127, .. new float[27]];
        var bytes = new byte[Q8Blocks.Bytes];
        Assert.True(Q8Blocks.TryQuantize(values, bytes));
        Assert.Equal([0x00, 0x3C, 127, 1, 2, 0xFF, 0x81], bytes[..7]);

        values = [8, -7, 0.5f, .. new float[13], -8, .. new float[15]]; // the largest is 8: scale -1, codes of -w
        bytes = new byte[Q4Blocks.Bytes];
        Assert.True(Q4Blocks.TryQuantize(values, bytes));
        Assert.Equal([0x00, 0xBC, 0xF0, 0x8F, 0x88], bytes[..5]);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(1e30f)]
    public void TryWrite_WhatABlockCannotHold_IsRefused(float value)
    {
        float[] values = [value, .. new float[31]];
        Assert.False(GgufType.Q8.TryWrite(values, new byte[Q8Blocks.Bytes]));
        Assert.False(GgufType.Q4.TryWrite(values, new byte[Q4Blocks.Bytes]));
    }

    private static float[] Values(ITensorSource source, TensorShape tensor)
    {
        var values = new float[tensor.Length];
        source.Read(tensor.Name, values);
        return values;
    }
}
