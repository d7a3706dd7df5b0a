using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Core.Tests;

/// <summary>Offsets beyond 32 bits, in files that are holes but for the values that are looked at.</summary>
public sealed class LargeModelTests : IDisposable
{
    // Llama 2 13B.
    private static readonly LlamaConfig Config = new() { Dim = 5120, HiddenDim = 13824, NLayers = 40, NHeads = 40, NKvHeads = 40, VocabSize = 32000, MaxSeqLen = 4096 };

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(0, 0, 52_065_554_460)] // 28 + 4 · (13,015,864,320 + 2 · 4096 · 64)
    [InlineData(1, 0, 52_063_457_536)] // 256 + 4 · 13,015,864,320
    [InlineData(2, 64, 13_830_574_336)] // 256 + norms 414,720 · 4 + 13,015,449,600 · (1 + 4 / 64)
    [InlineData(3, 32, 7_507_169_536)] // 256 + norms · 4 + vocabulary 327,680,000 · (1 + 4 / 32) + 12,687,769,600 · (1 / 2 + 2 / 32)
    public void Read_A13BFile_FindsItsLastTensors(int version, int groupSize, long length)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "files have no holes there unless they are asked for");
        var header = new ModelBinHeader(version, Config, SharedClassifier: false, groupSize);
        var layout = new ModelBinLayout(header);
        Assert.Equal(length, layout.FileLength);
        var path = _folder.File("13B.bin");
        var (output, w3) = (layout[TensorNames.Output], layout[TensorNames.W3(39)]);
        using (var file = new FileStream(path, FileMode.Create))
        {
            header.Write(file);
            foreach (var section in (ModelBinSection[])[output, w3])
            {
                // The last value, and the scale of its group: 3 · 0.5, or 1.5 as it is.
                var end = section.Offset + section.CodeBytes(section.Tensor.Length);
                if (!section.IsQuantized)
                    WriteAt(file, end - sizeof(float), BitConverter.GetBytes(1.5f));
                else
                    WriteAt(file, end - 1, [section.Type == WeightType.Int8 ? (byte)3 : (byte)(11 << 4)]);
                if (section.IsQuantized)
                    WriteAt(file, section.End - (section.Type == WeightType.Int8 ? 4 : 2), section.Type == WeightType.Int8 ? BitConverter.GetBytes(0.5f) : BitConverter.GetBytes((Half)0.5f));
            }
            file.SetLength(length);
        }
        using var model = ModelBinFile.Open(path);
        foreach (var tensor in (TensorShape[])[output.Tensor, w3.Tensor])
        {
            var row = new float[tensor.Cols];
            model.Read(tensor.Name, tensor.Length - tensor.Cols, row);
            Assert.Equal(1.5f, row[^1]);
        }
    }

    [Fact]
    public void Open_AFileThatTheAddressSpaceHasNoRoomFor_NamesIt()
    {
        Assert.SkipUnless(Directory.Exists("/dev/shm"), "no file system that is known to keep a file of 2^60 bytes, all of it a hole");
        var path = $"/dev/shm/{Guid.NewGuid()}";
        try
        {
            using (var file = new FileStream(path, FileMode.CreateNew))
                file.SetLength(1L << 60);
            var error = Assert.Throws<IOException>(() => MappedFile.Open(path));
            Assert.StartsWith($"{path}: its 1,152,921,504,606,846,976 bytes cannot be mapped into memory: ", error.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void ReadFloats_ATensorOfMoreThan2GB_ReadsItsEnd()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "files have no holes there unless they are asked for");
        var path = _folder.File("large.safetensors");
        var entry = SafetensorsEntry.Create("w", "F16", 3_000_000, 1024); // 6 GB, and more values than an int counts
        SafetensorsWriter.Write(path, new Dictionary<string, string>(), [entry, SafetensorsEntry.Create("next", "F32", 1)], (tensor, file) =>
        {
            if (tensor.Name == "w")
                file.Position += tensor.ByteLength - 2;
            file.Write(tensor.Name == "w" ? BitConverter.GetBytes((Half)1.5f) : BitConverter.GetBytes(2.5f));
        });
        using var file = SafetensorsFile.Open(path);
        var (row, next) = (new float[1024], new float[1]);
        file.ReadFloats("w", entry.Count - 1024, row);
        file.ReadFloats("next", next);
        Assert.Equal((0f, 1.5f, 2.5f), (row[0], row[^1], next[0]));
    }

    [Fact]
    public void ForEach_MoreValuesThanAnIntCounts_ComesToTheEnd()
    {
        var tensor = new TensorShape("w", 3_000_000, 1024);
        var (last, values) = (0L, 0L);
        TensorParts.ForEach(new Nothing(), tensor, (start, part) =>
        {
            Interlocked.Add(ref values, part.Length);
            if (start + part.Length == tensor.Length)
                last = start;
            return default;
        });
        Assert.Equal(tensor.Length, values);
        Assert.Equal(tensor.Length - 65536, last);
    }

    [Fact]
    public void Write_BeyondFourGigabytes_LiesThere()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "files have no holes there unless they are asked for");
        const long Offset = 5L << 30;
        var tensor = new TensorShape(TensorNames.Wq(0), 8, 8);
        var model = new RandomModel(new LlamaConfig { Dim = 8, HiddenDim = 8, NLayers = 1, NHeads = 2, NKvHeads = 2, VocabSize = 16, MaxSeqLen = 4 }, true, 1);
        using (var file = new FileStream(_folder.File("f"), FileMode.Create))
        {
            file.Position = Offset;
            FloatWriter.Write(file, model, tensor, NumberType.Float32);
            Assert.Equal(Offset + 256, file.Position);
        }
        using var map = MappedFile.Open(_folder.File("f"));
        var read = new float[64];
        map.ReadFloats(Offset, NumberType.Float32, read);
        Assert.Equal(model[tensor.Name], read);
    }

    private static void WriteAt(FileStream file, long offset, byte[] bytes)
    {
        file.Position = offset;
        file.Write(bytes);
    }

    private sealed class Nothing : ITensorSource
    {
        public LlamaConfig Config => LargeModelTests.Config;

        public bool SharedClassifier => true;

        public void Read(string name, long start, Span<float> destination)
        {
        }
    }
}
