using CsCheck;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Export.Targets;

namespace LlamaFullstack.Export.Tests;

/// <summary>
/// Good files of every format with random damage: bytes changed, cut out, put in or doubled, counts made huge. Each is read to its end or refused in
/// one line that names it, and never costs much memory. LLAMAFS_DAMAGED sets how many of each are tried.
/// </summary>
public sealed class DamagedFilesTests : IDisposable
{
    private const long MostAllocated = 100 << 20;

    private static readonly long Count = long.Parse(Environment.GetEnvironmentVariable("LLAMAFS_DAMAGED") ?? "15", System.Globalization.CultureInfo.InvariantCulture);

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>A format, and which of the files that make a model in it is damaged.</summary>
    public static TheoryData<string, string> Files => new()
    {
        { "version 0", "m.bin" }, { "version 1", "m.bin" }, { "version 2", "m.bin" }, { "version 3", "m.bin" },
        { "GGUF F32", "m.gguf" }, { "GGUF Q8_0", "m.gguf" }, { "GGUF Q4_0", "m.gguf" },
        { "ckpt.pt", "m.pt" }, { "ckpt.pt before zip", "legacy.pt" },
        { "Hugging Face", "hf/config.json" }, { "Hugging Face", "hf/model.safetensors.index.json" }, { "Hugging Face", "hf/model-00002-of-00003.safetensors" },
        { "Meta", "meta/params.json" }, { "Meta", "meta/consolidated.01.pth" },
        { "tokenizer.bin", "tokenizer.bin" }, { "sentencepiece", "tokenizer.model" },
        { "published GGUF", "gguf/stories260K.gguf" }, { "published ckpt.pt", "train-checkpoint/ckpt.pt" },
        { "published model", "stories260K/stories260K.bin" }, { "published tokenizer", "stories260K/tok512.bin" }, { "published sentencepiece", "stories260K/tok512.model" },
    };

    [Theory, MemberData(nameof(Files))]
    public void Read_DamagedFile_IsReadOrRefusedInOneLine(string format, string name)
    {
        WriteGood(format, name);
        var good = File.ReadAllBytes(_folder.File(name));
        var damage = Gen.Select(Gen.Int[0, 5], Gen.Double[0, 1], Gen.Byte, Gen.Int[1, 16]);
        // One after the other: all are the same file. CsCheck prints the seed of one that fails.
        damage.Array[1, 6].Sample(steps => AssertSafe(name, steps.Aggregate(good, (bytes, step) => Damage(bytes, step))), iter: Count, threads: 1);
    }

    private static byte[] Damage(byte[] bytes, (int Kind, double Place, byte Value, int Length) step)
    {
        if (bytes.Length == 0)
            return [step.Value];
        // Half of the damage in the first kilobyte, where headers are.
        var (place, span) = step.Place < 0.5 ? (2 * step.Place, Math.Min(1024, bytes.Length)) : (2 * step.Place - 1, bytes.Length);
        var at = Math.Min((int)(place * span), bytes.Length - 1);
        var end = Math.Min(at + step.Length, bytes.Length);
        return step.Kind switch
        {
            0 => [.. bytes[..at], (byte)(bytes[at] ^ (1 << (step.Value & 7))), .. bytes[(at + 1)..]],
            1 => [.. bytes[..at], step.Value, .. bytes[(at + 1)..]],
            2 => [.. bytes[..at], .. Enumerable.Repeat((byte)0xFF, end - at), .. bytes[end..]],
            3 => [.. bytes[..at], .. bytes[end..]],
            4 => [.. bytes[..end], .. bytes[at..]],
            _ => bytes[..at],
        };
    }

    private void AssertSafe(string name, byte[] bytes)
    {
        var path = _folder.Write(name, bytes);
        var model = Path.GetDirectoryName(name) is "hf" or "meta" ? _folder.File(Path.GetDirectoryName(name)!) : path;
        var before = GC.GetTotalAllocatedBytes(precise: false);
        try
        {
            Read(model);
        }
        catch (Exception e) when (e is InvalidDataException or FileNotFoundException)
        {
            Assert.StartsWith(_folder.Path, e.Message, StringComparison.Ordinal);
            Assert.DoesNotContain(e.Message, char.IsControl);
        }
        Assert.InRange(GC.GetTotalAllocatedBytes(precise: false) - before, 0, MostAllocated);
    }

    private static void Read(string path)
    {
        if (Path.GetFileName(path).StartsWith("tok", StringComparison.Ordinal))
        {
            new Tokenizer(ModelTokenizer.Read(path).Vocabulary).Encode("Once upon a time, 3 ▁▁ \u00e9\U0001F600", bos: true);
            return;
        }
        using var source = ModelSource.Open(path);
        foreach (var tensor in TensorNames.All(source.Tensors.Config, source.Tensors.SharedClassifier))
            TensorParts.ForEach(source.Tensors, tensor, (_, _) => default);
        if (source.Tensors is GgufModel)
            _ = ModelTokenizer.FindOf(source);
    }

    private void WriteGood(string format, string name)
    {
        var model = new RandomModel(TinyGguf.Config, sharedClassifier: false, seed: 9);
        var path = _folder.File(name);
        if (format.StartsWith("version", StringComparison.Ordinal))
            ModelBinWriter.Write(path, model, format[^1] - '0');
        else if (format.StartsWith("GGUF", StringComparison.Ordinal))
            _folder.Write(name, TinyGguf.Build(GgufType.All.Single(type => type.Name == format[5..])).Build());
        else if (format == "ckpt.pt")
            CheckpointPtWriter.Write(path, new RandomModel(TinyGguf.Config, sharedClassifier: true, seed: 9));
        else if (format == "ckpt.pt before zip")
            File.Copy(Fixtures.Path("torch-pt", "legacy_with_offsets.pt"), path);
        else if (format == "Hugging Face")
            HuggingFaceWriter.Write(_folder.File("hf"), model, shardLength: 40_000);
        else if (format == "Meta")
            TinyMeta.Write(_folder, new RandomModel(TinyMeta.Config, sharedClassifier: false, seed: 9), shards: 2);
        else if (format is "tokenizer.bin" or "sentencepiece")
            WriteTokenizer(path);
        else
            _folder.Write(name, File.ReadAllBytes(Fixtures.Path(name.Split('/'))));
    }

    private void WriteTokenizer(string path)
    {
        var vocabulary = GgufVocabulary.Read(_folder.Write("vocabulary.gguf", TinyGguf.Build().Build()));
        if (Path.GetExtension(path) == ".bin")
            TokenizerBin.Write(path, vocabulary);
        else
            SentencePieceModel.Trained(vocabulary, new SentencePieceTraining("", "t", 1, 1)).Write(path);
    }
}
