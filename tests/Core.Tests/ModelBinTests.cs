using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Core.Tests;

public class ModelBinTests
{
    private static readonly LlamaConfig Tiny = new() { Dim = 8, HiddenDim = 12, NLayers = 2, NHeads = 4, NKvHeads = 2, VocabSize = 11, MaxSeqLen = 6 };

    [Theory]
    [InlineData("stories260K", "stories260K.bin")]
    [InlineData("train-checkpoint", "model_v0.bin")]
    public void Write_V0OfAPublishedModel_IsByteIdentical(string fixtureFolder, string name)
    {
        using var folder = new TempFolder();
        using var source = ModelBinFile.Open(Fixtures.Path(fixtureFolder, name));
        ModelBinWriter.Write(folder.File("model.bin"), source, version: 0);

        var expected = File.ReadAllBytes(source.Map.Path);
        var actual = File.ReadAllBytes(folder.File("model.bin"));
        Assert.Equal(expected.Length, actual.Length);
        Assert.Empty(expected.Zip(actual).Select((pair, offset) => (pair.First, pair.Second, offset)).Where(x => x.First != x.Second).Take(5));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Write_Fp32_ReadsBackTheSameWeights(int version)
    {
        using var folder = new TempFolder();
        foreach (var shared in new[] { true, false })
        {
            var source = new RandomModel(Tiny, shared, seed: 1);
            ModelBinWriter.Write(folder.File("model.bin"), source, version);
            using var file = ModelBinFile.Open(folder.File("model.bin"));
            Assert.Equal(Tiny, file.Config);
            Assert.Equal(shared, file.SharedClassifier);
            foreach (var tensor in TensorNames.All(Tiny, shared))
                Assert.Equal(source[tensor.Name], Read(file, tensor));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Write_ConstantsThatAreNotLlama2cs_TravelInThePadding(int version)
    {
        using var folder = new TempFolder();
        var scaling = new RopeScaling { Kind = RopeScalingKind.Llama3, Factor = 8, LowFreqFactor = 1, HighFreqFactor = 4, OriginalMaxSeqLen = 8192 };
        var config = Tiny with { RopeTheta = 1_000_000f, NormEps = 1e-6f, RopeScaling = scaling };
        ModelBinWriter.Write(folder.File("model.bin"), new RandomModel(config, true, 1), version);
        using var file = ModelBinFile.Open(folder.File("model.bin"));
        Assert.Equal(config, file.Config);
    }

    [Theory]
    [InlineData(1e6f, 1e-5f, false, "rope_theta 1000000")]
    [InlineData(1e4f, 1e-6f, false, "norm_eps 1E-06")]
    [InlineData(1e4f, 1e-5f, true, "rope_scaling")]
    public void Write_V0OfAModelThatItCannotExpress_IsRefused(float ropeTheta, float normEps, bool scaled, string foreign)
    {
        using var folder = new TempFolder();
        var scaling = scaled ? new RopeScaling { Kind = RopeScalingKind.Linear, Factor = 2 } : null;
        var source = new RandomModel(Tiny with { RopeTheta = ropeTheta, NormEps = normEps, RopeScaling = scaling }, true, 1);
        var error = Assert.Throws<ArgumentException>(() => ModelBinWriter.Write(folder.File("model.bin"), source, 0));
        Assert.StartsWith($"version 0 has no field for the model's {foreign}, ", error.Message);
        Assert.False(File.Exists(folder.File("model.bin")));
    }

    [Fact]
    public void Write_V2_ReadsBackWithinHalfAScale()
    {
        using var folder = new TempFolder();
        var source = new RandomModel(Tiny, sharedClassifier: false, seed: 1);
        var report = new List<TensorWritten>();
        ModelBinWriter.Write(folder.File("model.bin"), source, version: 2, progress: new Immediate<TensorWritten>(report.Add));
        using var file = ModelBinFile.Open(folder.File("model.bin"));
        Assert.Equal(4, file.Header.GroupSize); // the largest of 64, 32, 16, … that divides both 8 and 12
        Assert.Equal(file.Layout.Sections.Count, report.Count);
        foreach (var tensor in TensorNames.All(Tiny, sharedClassifier: false))
        {
            var expected = source[tensor.Name];
            var actual = Read(file, tensor);
            if (tensor.IsVector)
            {
                Assert.Equal(expected, actual);
                continue;
            }
            for (var group = 0; group < expected.Length; group += 4)
            {
                var scale = expected.AsSpan(group, 4).ToArray().Max(Math.Abs) / Int8Groups.MaxMagnitude;
                for (var i = group; i < group + 4; i++)
                    Assert.InRange(actual[i] - expected[i], -0.5001f * scale, 0.5001f * scale);
            }
        }
    }

    [Fact]
    public void Write_V3_ReadsBackWithinAScale()
    {
        using var folder = new TempFolder();
        var source = new RandomModel(Tiny, sharedClassifier: false, seed: 1);
        ModelBinWriter.Write(folder.File("model.bin"), source, version: 3);
        using var file = ModelBinFile.Open(folder.File("model.bin"));
        Assert.Equal(4, file.Header.GroupSize);
        Assert.Equal(WeightType.Int8, file.Layout[TensorNames.TokEmbeddings].Type);
        Assert.Equal(WeightType.Int8, file.Layout[TensorNames.Output].Type);
        Assert.Equal(WeightType.Int4, file.Layout[TensorNames.Wq(0)].Type);
        foreach (var tensor in TensorNames.All(Tiny, sharedClassifier: false).Where(tensor => file.Layout[tensor.Name].Type == WeightType.Int4))
        {
            var expected = source[tensor.Name];
            var actual = Read(file, tensor);
            // Weights lie in -0.5 … 0.5: a scale is at most 0.5 / 7 or so, and a clipped weight is off by less than two.
            for (var i = 0; i < expected.Length; i++)
                Assert.InRange(actual[i] - expected[i], -0.15f, 0.15f);
        }
    }

    [Fact]
    public void Write_V3OfAnOddWidth_IsRefused()
    {
        using var folder = new TempFolder();
        var source = new RandomModel(Tiny with { HiddenDim = 13 }, true, 1);
        var error = Assert.Throws<ArgumentException>(() => ModelBinWriter.Write(folder.File("m"), source, 3));
        Assert.Contains("version 3 cannot hold this model: group size 1 must be even", error.Message);
    }

    [Fact]
    public void Write_V2WithANaN_NamesTheTensorAndKeepsTheOldFile()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder.File("model.bin"), "old");
        var source = new RandomModel(Tiny, true, 1);
        source[TensorNames.W2(1)][5] = float.NaN;
        var error = Assert.Throws<InvalidDataException>(() => ModelBinWriter.Write(folder.File("model.bin"), source, 2));
        Assert.Contains("layers.1.feed_forward.w2.weight", error.Message);
        Assert.Equal("old", File.ReadAllText(folder.File("model.bin")));
        Assert.Equal(["model.bin"], Directory.GetFiles(folder.Path).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData(7, "group size 7 must divide dim 8")]
    [InlineData(8, "group size 8 must divide hidden_dim 12")]
    [InlineData(0, "group size 0 must be at least 1")]
    public void Write_V2WithAGroupSizeThatDoesNotFit_IsRefused(int groupSize, string message)
    {
        using var folder = new TempFolder();
        var error = Assert.Throws<ArgumentException>(() => ModelBinWriter.Write(folder.File("m"), new RandomModel(Tiny, true, 1), 2, groupSize));
        Assert.Contains(message, error.Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Open_EveryTruncation_IsOneClearError(int version)
    {
        using var folder = new TempFolder();
        ModelBinWriter.Write(folder.File("whole.bin"), new RandomModel(Tiny, false, 1), version);
        var whole = File.ReadAllBytes(folder.File("whole.bin"));
        for (var length = 0; length < whole.Length; length++)
        {
            var path = folder.Write("cut.bin", whole[..length]);
            var error = Assert.Throws<InvalidDataException>(() => ModelBinFile.Open(path));
            Assert.StartsWith(path + ": ", error.Message);
            Assert.DoesNotContain('\n', error.Message);
        }
        Assert.Throws<InvalidDataException>(() => ModelBinFile.Open(folder.Write("long.bin", [.. whole, 0])));
    }

    // The hostile headers of the specification's section 8, field by field.
    [Theory]
    [InlineData(3, 0, "n_heads 0 must be between")]
    [InlineData(2, 100_000, "n_layers 100000 must be between")]
    [InlineData(0, -1, "dim -1 must be between")]
    [InlineData(0, int.MaxValue, "dim 2147483647 must be between")]
    [InlineData(1, int.MinValue, "hidden_dim -2147483648 must be between")]
    [InlineData(4, 3, "n_kv_heads 3 must divide n_heads 4")]
    [InlineData(4, 4, "bytes, but a v0 file of dim 8")]
    [InlineData(3, 8, "head size 1")]
    [InlineData(5, 0, "vocab_size 0 must be between")]
    [InlineData(5, int.MinValue, "vocab_size 0 must be between")]
    [InlineData(5, -11, "Was it cut short")]
    [InlineData(6, 0, "max_seq_len 0 must be between")]
    public void Open_AHostileV0Header_NamesTheField(int field, int value, string message)
    {
        using var folder = new TempFolder();
        ModelBinWriter.Write(folder.File("model.bin"), new RandomModel(Tiny, true, 1), 0);
        var bytes = File.ReadAllBytes(folder.File("model.bin"));
        BitConverter.TryWriteBytes(bytes.AsSpan(field * sizeof(int)), value);
        var error = Assert.Throws<InvalidDataException>(() => ModelBinFile.Open(folder.Write("hostile.bin", bytes)));
        Assert.Contains(message, error.Message);
    }

    [Theory]
    [InlineData(4, 4, "version 4 is not known")]
    [InlineData(36, 2, "shared_classifier is 2")]
    [InlineData(37, 0, "group size 0 must be at least 1")]
    [InlineData(37, -4, "group size -4 must be at least 1")]
    [InlineData(37, 8, "group size 8 must divide hidden_dim 12")]
    [InlineData(44, -1, "rope_theta")]
    [InlineData(52, 3, "rope_scaling 3 must be 1 (linear) or 2 (llama3)")]
    [InlineData(52, 1, "rope_scaling factor 0 must be at least 1")]
    public void Open_AHostileV2Header_NamesTheField(int offset, int value, string message)
    {
        using var folder = new TempFolder();
        ModelBinWriter.Write(folder.File("model.bin"), new RandomModel(Tiny, true, 1), 2);
        var bytes = File.ReadAllBytes(folder.File("model.bin"));
        if (offset == 36)
            bytes[36] = (byte)value;
        else
            BitConverter.TryWriteBytes(bytes.AsSpan(offset), value);
        var error = Assert.Throws<InvalidDataException>(() => ModelBinFile.Open(folder.Write("hostile.bin", bytes)));
        Assert.Contains(message, error.Message);
    }

    [Fact]
    public void Open_AMissingFileAFolderAndAnEmptyFile_SaySo()
    {
        using var folder = new TempFolder();
        Assert.EndsWith("no such file.", Assert.Throws<FileNotFoundException>(() => ModelBinFile.Open(folder.File("none"))).Message);
        Assert.EndsWith("is a folder, expected a file.", Assert.Throws<IOException>(() => ModelBinFile.Open(folder.Path)).Message);
        Assert.EndsWith("the file is empty.", Assert.Throws<InvalidDataException>(() => ModelBinFile.Open(folder.Write("empty", []))).Message);
    }

    private static float[] Read(ModelBinFile file, TensorShape tensor)
    {
        var values = new float[tensor.Length];
        file.Read(tensor.Name, values);
        return values;
    }
}
