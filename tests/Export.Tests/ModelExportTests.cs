using System.Security.Cryptography;
using System.Text.Json;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Export.Tests;

public sealed class ModelExportTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Write_V0OfCheckpoint_IsLlama2cFileByteForByte()
    {
        // The tables of cosines and sines at its end included.
        var target = Export(Fixtures.Path("train-checkpoint", "ckpt.pt"), 0);
        Assert.Equal(File.ReadAllBytes(Fixtures.Path("train-checkpoint", "model_v0.bin")), File.ReadAllBytes(target));
    }

    // What llama2.c's export.py (HEAD 350e04f) wrote from the same checkpoint with PyTorch 1.13.1; v2 in groups of 64.
    [Theory]
    [InlineData(1, 1_117_184, "188d0940a96caec48ec5369550339ebea43df9b8125a5bd90cc3b1b8cbd44cbc")]
    [InlineData(2, 299_008, "4d4e3c5bce385e5fc898a18da475d184c699d854edbe252a8a151ccd50e2c844")]
    public void Write_V1AndV2OfCheckpoint_AreLlama2cFiles(int version, long length, string sha256)
    {
        var bytes = File.ReadAllBytes(Export(Fixtures.Path("train-checkpoint", "ckpt.pt"), version));
        Assert.Equal(length, bytes.Length);
        Assert.Equal(sha256, Convert.ToHexStringLower(SHA256.HashData(bytes)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Write_FromOneFp32VersionToTheOtherAndBack_IsTheSameFile(int other)
    {
        var published = Fixtures.Path("stories260K", "stories260K.bin");
        Assert.Equal(File.ReadAllBytes(published), File.ReadAllBytes(Export(Export(published, other), 0)));
    }

    [Fact]
    public void Write_V2_ReportsEachTensorsError()
    {
        using var source = ModelSource.Open(Fixtures.Path("train-checkpoint", "ckpt.pt"));
        var report = ModelExport.Write(source, _folder.File("model.bin"), version: 2);
        using var written = ModelBinFile.Open(report.Target);

        Assert.Equal(("llama2.c checkpoint", 64, 299_008L, 1 + 7 * 5), (report.Format, report.GroupSize, report.Bytes, report.Quantized.Count));
        foreach (var tensor in report.Quantized)
        {
            var (expected, read) = (new float[tensor.Rows * tensor.Cols], new float[tensor.Rows * tensor.Cols]);
            source.Tensors.Read(tensor.Name, expected);
            written.Read(tensor.Name, read);
            var errors = expected.Zip(read, (a, b) => Math.Abs(a - b)).ToArray();
            Assert.Equal(errors.Max(), tensor.MaxError);
            Assert.Equal(errors.Average(), tensor.MeanError, 1e-6 * tensor.MeanError); // a float mean against one in double
            // Rounding is off by half a step at most, and a step is a 127th of the largest weight of its group.
            Assert.InRange(tensor.MaxError, 0, expected.Max(Math.Abs) / Int8Groups.MaxMagnitude / 2 * 1.0001f);
        }
        // llama2.c's own words for this file: "max quantization group error across all weights: 0.00984048843383789".
        Assert.Equal(0.00984048843383789f, report.Worst!.MaxError);
    }

    [Fact]
    public void Report_AsJson_NamesWhatWasWritten()
    {
        using var source = ModelSource.Open(Write(new TinyCheckpoint()));
        var report = ModelExport.Write(source, _folder.File("model.bin"), version: 2);
        using var json = JsonDocument.Parse(JsonSerializer.Serialize(report, ExportJsonContext.Default.ExportReport));
        Assert.Equal(4, json.RootElement.GetProperty("group_size").GetInt32());
        Assert.Equal("tok_embeddings.weight", json.RootElement.GetProperty("quantized")[0].GetProperty("name").GetString());
        Assert.Equal(report.Worst!.MaxError, json.RootElement.GetProperty("worst").GetProperty("max_error").GetSingle());
    }

    [Fact]
    public void Write_Progress_TellsOfEachTensorOnce()
    {
        using var source = ModelSource.Open(Write(new TinyCheckpoint()));
        var seen = new List<TensorWritten>();
        ModelExport.Write(source, _folder.File("model.bin"), version: 1, progress: new Immediate<TensorWritten>(seen.Add));
        Assert.Equal(Enumerable.Range(0, 3 + 9 * 2), seen.Select(tensor => tensor.Index));
        Assert.All(seen, tensor => Assert.Equal(21, tensor.Count));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void Write_V2OfAWeightThatIsNoNumber_NamesTheTensor(float value)
    {
        var tiny = new TinyCheckpoint();
        tiny.Model[TensorNames.Wv(1)][3] = value;
        using var source = ModelSource.Open(Write(tiny));
        var error = Assert.Throws<InvalidDataException>(() => ModelExport.Write(source, _folder.File("model.bin"), version: 2));
        Assert.Contains("layers.1.attention.wv.weight has a weight that is not a finite number", error.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.File("model.bin")));
    }

    [Fact]
    public void Write_OverItsOwnSource_IsRefused()
    {
        var path = Write(new TinyCheckpoint());
        using var source = ModelSource.Open(path);
        Assert.Throws<ArgumentException>(() => ModelExport.Write(source, path, version: 0));
        if (OperatingSystem.IsWindows())
            return; // a link needs a right there that tests do not have
        File.CreateSymbolicLink(_folder.File("link"), path);
        Assert.Throws<ArgumentException>(() => ModelExport.Write(source, _folder.File("link"), version: 0));
    }

    [Fact]
    public void Write_OnAFullDisk_LeavesTheOldFile()
    {
        if (!File.Exists("/dev/full"))
            Assert.Skip("no /dev/full here to stand for a full disk");
        var target = _folder.Write("model.bin", [1, 2, 3]);
        File.CreateSymbolicLink(target + ".tmp", "/dev/full");
        using var source = ModelSource.Open(Write(new TinyCheckpoint()));
        Assert.ThrowsAny<IOException>(() => ModelExport.Write(source, target, version: 0));
        Assert.Equal([1, 2, 3], File.ReadAllBytes(target));
        Assert.False(File.Exists(target + ".tmp"));
    }

    [Fact]
    public void FindCheckpoint_PrefersOursAndNamesWhatIsMissing()
    {
        var error = Assert.Throws<FileNotFoundException>(() => ModelExport.FindCheckpoint(_folder.Path));
        Assert.Equal($"{_folder.Path}: has no ckpt.safetensors and no ckpt.pt. Train a model first, or name a checkpoint with --checkpoint.", error.Message);
        var theirs = _folder.Write("ckpt.pt", [1]);
        Assert.Equal(theirs, ModelExport.FindCheckpoint(_folder.Path));
        var ours = _folder.Write("ckpt.safetensors", [1]);
        Assert.Equal(ours, ModelExport.FindCheckpoint(_folder.Path));
    }

    private string Write(TinyCheckpoint checkpoint) => _folder.Write("ckpt.pt", checkpoint.ToArray());

    private string Export(string source, int version)
    {
        using var model = ModelSource.Open(source);
        return ModelExport.Write(model, _folder.File($"v{version}-{Path.GetFileName(source)}"), version).Target;
    }
}
