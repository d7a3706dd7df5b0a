using System.IO.Compression;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Export.Targets;

namespace LlamaFullstack.Export.Tests;

/// <summary>
/// At least fifty bad files of each format, made from a good one: each is refused in one line that names it and what is wrong with it, before
/// anything large is allocated, and nothing is written. PyTorch's files have more of their own in <see cref="HostileTorchTests"/>.
/// </summary>
public sealed class HostileFilesTests : IDisposable
{
    private const int LeastCases = 50;
    private const long MostAllocated = 100 << 20;

    private static readonly LlamaConfig Config = TinyCheckpoint.Config;

    private readonly TempFolder _folder = new();
    private int _cases;

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 8)]
    [InlineData(2, 8)]
    [InlineData(3, 8)]
    public void Export_BadModelFiles_AreRefused(int version, int shapeOffset)
    {
        ModelBinWriter.Write(_folder.File("good.bin"), new RandomModel(Config, sharedClassifier: false, seed: 1), version);
        var good = File.ReadAllBytes(_folder.File("good.bin"));
        List<long> boundaries;
        using (var file = ModelBinFile.Open(_folder.File("good.bin")))
            boundaries = [1, 4, 8, 27, file.Header.ByteLength - 1, .. file.Layout.Sections.SelectMany(section => new[] { section.Offset, section.End - 1 })];

        foreach (var length in boundaries.Where(length => length > 0))
            Refused("x.bin", good[..(int)length], "");
        Refused("x.bin", [.. good, 0], "");
        string[] fields = ["dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len"];
        for (var field = 0; field < fields.Length; field++)
            foreach (var value in (ReadOnlySpan<int>)[0, int.MinValue, int.MaxValue, 1 << 30, 1_000_000_007])
                Refused("x.bin", With(good, shapeOffset + field * sizeof(int), value), fields[field]);
        if (version > 0)
            RefuseBadHeaders(good);
        if (version > 1)
            RefuseBadGroups(good, version);
        Assert.InRange(_cases, LeastCases, int.MaxValue);
    }

    private void RefuseBadHeaders(byte[] good)
    {
        Refused("x.bin", With(good, 4, 77), "version 77");
        Refused("x.bin", With(good, 4, -1), "version -1");
        Refused("x.bin", [.. good[..36], 2, .. good[37..]], "shared_classifier");
        Refused("x.bin", With(good, 44, BitConverter.SingleToInt32Bits(float.NaN)), "rope_theta");
        Refused("x.bin", With(good, 48, BitConverter.SingleToInt32Bits(float.NegativeInfinity)), "norm_eps");
        Refused("x.bin", With(good, 52, 9), "rope_scaling");
    }

    private void RefuseBadGroups(byte[] good, int version)
    {
        foreach (var groupSize in (ReadOnlySpan<int>)[0, -4, 3, 5, int.MaxValue, int.MinValue])
            Refused("x.bin", With(good, 37, groupSize), "group size");
        using var file = ModelBinFile.Open(_folder.File("good.bin"));
        foreach (var scale in (ReadOnlySpan<float>)[float.NaN, float.PositiveInfinity])
        {
            var bits = version == 2 ? BitConverter.SingleToInt32Bits(scale) : BitConverter.HalfToInt16Bits((Half)scale) * 0x10001; // two scales of float16
            Refused("x.bin", With(good, (int)file.Layout[TensorNames.Wv(1)].ScalesOffset + 4, bits), "layers.1.attention.wv.weight");
        }
    }

    [Fact]
    public void Export_BadCkptPt_AreRefused()
    {
        var good = new TinyCheckpoint().ToArray();
        for (var part = 0; part < 20; part++)
            Refused("x.pt", good[..(good.Length * part / 20)], "");
        Refused("x.pt", [.. good, .. new byte[70_000]], "directory"); // beyond what a comment can be

        void Args(string name, long? value, string what)
        {
            var checkpoint = new TinyCheckpoint();
            checkpoint.Args[name] = value;
            Refused("x.pt", checkpoint.ToArray(), what);
        }
        foreach (var name in (ReadOnlySpan<string>)["dim", "n_layers", "n_heads", "vocab_size", "max_seq_len"])
            foreach (var value in (ReadOnlySpan<long?>)[0, -1, null, int.MaxValue, long.MaxValue, long.MinValue])
                Args(name, value, name);
        foreach (var value in (ReadOnlySpan<long?>)[0, -1, 3, int.MaxValue, 1L << 40])
            Args("n_kv_heads", value, "n_kv_heads");

        void Tensors(Action<TinyCheckpoint> spoil, string what)
        {
            var checkpoint = new TinyCheckpoint();
            spoil(checkpoint);
            Refused("x.pt", checkpoint.ToArray(), what);
        }
        foreach (var shape in (ReadOnlySpan<long[]>)[[0], [8, 9], [1L << 40, 1L << 40], [long.MaxValue, 2], [-1, 8], [4, 8], []])
        {
            var dimensions = shape;
            Tensors(checkpoint => checkpoint.Replace(TensorNames.Wq(1), new float[64], dimensions), "");
        }
        Tensors(checkpoint => checkpoint.Tensors.RemoveAt(3), "missing");
        Tensors(checkpoint => checkpoint.Tensors.Add(("layers.0.attention.wq.bias", new float[8], [8])), "'layers.0.attention.wq.bias'");
        Tensors(checkpoint => checkpoint.Tensors.Add(("_orig_mod.norm.weight", new float[8], [8])), "there twice");
        Tensors(checkpoint => checkpoint.Replace(TensorNames.W1(0), [.. Enumerable.Repeat(float.NaN, 96)], 12, 8), TensorNames.W1(0));
        Refused("x.pt", Zip(("a/data.pkl", new byte[40 << 20], CompressionLevel.Optimal)), "compressed"); // a bomb: 40 KB for 40 MB
        Refused("x.pt", Zip(("a/../data.pkl", new byte[9], CompressionLevel.NoCompression)), "'a/../data.pkl'");
        Refused("x.pt", Zip(("a/data.pkl", "cposix\nsystem\n."u8.ToArray(), CompressionLevel.NoCompression)), "posix");
        Refused("x.pt", Zip(("a/data.pkl", new byte[9], CompressionLevel.NoCompression), ("a/data.pkl", new byte[9], CompressionLevel.NoCompression)), "twice");
        Assert.InRange(_cases, LeastCases, int.MaxValue);
    }

    [Theory]
    [InlineData(".bin")]
    [InlineData(".model")]
    public void Read_BadTokenizers_AreRefused(string extension)
    {
        var vocabulary = SentencePieceModel.Trained(new Vocabulary { Pieces = [.. Enumerable.Range(0, 300).Select(PieceOf)] }, new SentencePieceTraining("", "t", 1, 1));
        if (extension == ".bin")
            TokenizerBin.Write(_folder.File("good.bin"), vocabulary.Vocabulary);
        else
            vocabulary.Write(_folder.File("good.model"));
        var good = File.ReadAllBytes(_folder.File("good" + extension));
        var bad = new List<byte[]>();
        for (var part = 0; part < 60; part++)
            bad.Add([.. good[..(good.Length * part / 60)], .. part % 2 == 0 ? [] : new byte[] { 0xFF, 0xFF, 0xFF, 0xFF, 0x7F }]);
        for (var at = 0; at < 24; at++)
            bad.Add([.. good[..at], 0xFF, .. good[(at + 1)..]]);
        var refused = 0;
        foreach (var bytes in bad)
        {
            var path = _folder.Write("t" + extension, bytes);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                ModelTokenizer.Read(path); // a piece of the right length may be another piece: no reader can tell
            }
            catch (InvalidDataException e)
            {
                refused++;
                Assert.StartsWith(path + ": ", e.Message);
                Assert.DoesNotContain('\n', e.Message);
            }
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MostAllocated);
        }
        Assert.InRange(refused, LeastCases, bad.Count);
    }

    private static Piece PieceOf(int id) => new(Encoding.UTF8.GetBytes(
        id switch { 0 => "<unk>", 1 => "<s>", 2 => "</s>", < Vocabulary.FirstText => $"<0x{id - Vocabulary.FirstByte:X2}>", _ => $"{(char)(id - Vocabulary.FirstText + 'a')}" }),
        id < Vocabulary.FirstText ? 0 : Vocabulary.FirstText - id,
        id switch { 0 => PieceType.Unknown, < Vocabulary.FirstByte => PieceType.Control, < Vocabulary.FirstText => PieceType.Byte, _ => PieceType.Normal });

    private static byte[] Zip(params (string Name, byte[] Content, CompressionLevel Level)[] files)
    {
        using var bytes = new MemoryStream();
        using (var archive = new ZipArchive(bytes, ZipArchiveMode.Create, leaveOpen: true))
            foreach (var (name, content, level) in files)
            {
                using var stream = archive.CreateEntry(name, level).Open();
                stream.Write(content);
            }
        return bytes.ToArray();
    }

    [Fact]
    public void Export_BadCheckpoints_AreRefused()
    {
        var (header, data) = NativeCheckpoint(new RandomModel(Config, sharedClassifier: true, seed: 2));
        var good = Safetensors(header, data);
        Refused("x", With(good, 0, 0), "header");
        foreach (var length in (ReadOnlySpan<ulong>)[1, 7, (ulong)good.Length, int.MaxValue, 1UL << 40, 1UL << 63, ulong.MaxValue])
            Refused("x", [.. BitConverter.GetBytes(length), .. good[8..]], "header");
        foreach (var length in (ReadOnlySpan<int>)[1, 7, 8, 9, 10, 100, good.Length - data.Length, good.Length - data.Length + 1, good.Length - 1])
            Refused("x", good[..length], "");
        Refused("x", [.. good, 0], "bytes long");

        void Edited(string what, Action<JsonObject> edit)
        {
            var root = JsonNode.Parse(header)!.AsObject();
            edit(root);
            Refused("x", Safetensors(root.ToJsonString(), data), what);
        }
        foreach (var name in (ReadOnlySpan<string>)[TensorNames.TokEmbeddings, TensorNames.AttentionNorm(0), TensorNames.W2(1), TensorNames.Norm])
        {
            var tensor = name;
            foreach (var (field, value) in (ReadOnlySpan<(string, string)>)
                [
                    ("dtype", "\"F33\""), ("dtype", "\"F16\""), ("dtype", "7"), ("dtype", "\"I32\""), ("shape", "[-1]"), ("shape", "[4294967296, 4294967296, 4294967296]"),
                    ("shape", "[1.5]"), ("shape", "\"x\""), ("shape", "[9223372036854775807, 2]"), ("data_offsets", "[0]"), ("data_offsets", "[-4, 0]"),
                    ("data_offsets", "[9223372036854775807, 9223372036854775807]"), ("data_offsets", "[64, 0]"), ("code", "\"os.system\""),
                ])
                Edited("", root => root[tensor]!.AsObject()[field] = JsonNode.Parse(value));
            Edited(tensor, root =>
            {
                root[tensor + ".lost"] = root[tensor]!.DeepClone();
                root.Remove(tensor);
            });
        }
        foreach (var (field, value) in (ReadOnlySpan<(string, string)>)
            [
                ("dim", "0"), ("dim", "-8"), ("dim", "2147483647"), ("n_layers", "2000000000"), ("n_heads", "0"), ("n_heads", "3"), ("n_kv_heads", "5"), ("vocab_size", "0"),
                ("max_seq_len", "0"), ("rope_theta", "-1"), ("norm_eps", "0"), ("hidden_dim", "1"), ("dim", "\"8\""), ("rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":2}"),
            ])
            Edited("", root =>
            {
                var args = JsonNode.Parse(root["__metadata__"]!["model_args"]!.GetValue<string>())!.AsObject();
                args[field] = JsonNode.Parse(value);
                root["__metadata__"]!["model_args"] = args.ToJsonString();
            });
        Edited("format", root => root["__metadata__"]!["format"] = "llamafs-checkpoint-9");
        Edited("format", root => root["__metadata__"]!.AsObject().Remove("format"));
        Edited("model_args", root => root["__metadata__"]!.AsObject().Remove("model_args"));
        Edited("", root => root["__metadata__"] = 7);
        Refused("x", Safetensors(string.Concat(Enumerable.Repeat("{\"a\":", 100_000)), data), "damaged");
        Refused("x", Safetensors(header.TrimEnd()[..^1] + ",\"norm.weight\":{\"dtype\":\"F32\",\"shape\":[8],\"data_offsets\":[0,32]}}", data), "'norm.weight' stands twice");
        Assert.InRange(_cases, LeastCases, int.MaxValue);
    }

    [Fact]
    public void Export_BadHuggingFaceFolders_AreRefused()
    {
        var model = new RandomModel(Config, sharedClassifier: true, seed: 3);
        HuggingFaceWriter.Write(_folder.File("good"), model, shardLength: 10_000);
        var files = Directory.GetFiles(_folder.File("good")).ToDictionary(path => Path.GetFileName(path), File.ReadAllBytes);
        void Folder(string changed, byte[]? content, string what)
        {
            Directory.CreateDirectory(_folder.File("hf"));
            foreach (var (name, bytes) in files)
                File.WriteAllBytes(_folder.File($"hf/{name}"), bytes);
            if (content is null)
                File.Delete(_folder.File($"hf/{changed}"));
            else
                File.WriteAllBytes(_folder.File($"hf/{changed}"), content);
            Refused("hf", null, what);
        }
        void Edited(string name, string field, string value, string what)
        {
            var root = JsonNode.Parse(files[name])!.AsObject();
            var parent = name == "config.json" ? root : root["weight_map"]!.AsObject();
            parent[field] = JsonNode.Parse(value);
            Folder(name, Encoding.UTF8.GetBytes(root.ToJsonString()), what);
        }
        foreach (var field in (ReadOnlySpan<string>)["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size", "max_position_embeddings"])
            foreach (var value in (ReadOnlySpan<string>)["0", "-1", "2147483647", "1e30", "\"8\""])
                Edited("config.json", field, value, "config.json");
        foreach (var (field, value) in (ReadOnlySpan<(string, string)>)
            [
                ("model_type", "\"gpt2\""), ("hidden_act", "\"relu\""), ("attention_bias", "true"), ("mlp_bias", "true"), ("sliding_window", "8"), ("quantization_config", "{}"),
                ("head_dim", "3"), ("rope_theta", "0"), ("rope_theta", "1e400"), ("rms_norm_eps", "-1"), ("rope_scaling", "{\"type\":\"dynamic\",\"factor\":2}"), ("rope_scaling", "7"),
            ])
            Edited("config.json", field, value, field is "rms_norm_eps" ? "norm_eps" : field is "rope_scaling" ? "rope" : field);
        foreach (var path in (ReadOnlySpan<string>)["../x.safetensors", "/etc/passwd", "a/b", "..", ".", "", "C:\\\\x", "missing.safetensors"])
            Edited("model.safetensors.index.json", "model.norm.weight", $"\"{path}\"", path == "missing.safetensors" ? path : "plain name");
        foreach (var name in files.Keys.Where(name => name is not "generation_config.json"))
        {
            Folder(name, null, "");
            Folder(name, files[name][..(files[name].Length / 2)], name);
            Folder(name, [], name);
        }
        Folder("config.json", new byte[2 << 20], "config.json");
        Folder("config.json", [.. "{\"model_type\": \"llama"u8, 0xE5, .. "\"}"u8], "config.json"); // not UTF-8
        Folder("config.json", [.. "{\"model_type\": \"\\ud800\"}"u8], "config.json"); // half of a surrogate pair
        Folder("model.safetensors.index.json", [.. "{\"weight_map\": {\"model.norm.weight\": \"a"u8, 0xE5, .. "\"}}"u8], "index.json");
        Folder("model.safetensors.index.json", "{\"weight_map\": []}"u8.ToArray(), "weight_map");
        var shards = files.Keys.Where(name => name.EndsWith(".safetensors", StringComparison.Ordinal)).Order(StringComparer.Ordinal).ToList();
        Folder(shards[1], files[shards[0]], "is in");
        Assert.InRange(_cases, LeastCases, int.MaxValue);
    }

    [Fact]
    public void Export_BadMetaFolders_AreRefused()
    {
        var model = new RandomModel(TinyMeta.Config, sharedClassifier: false, seed: 4);
        var shard = TinyMeta.Shard(model, 1, 2);
        TinyMeta.Write(_folder, model, shards: 2);
        void Params(string field, string value, string what)
        {
            var root = JsonNode.Parse(TinyMeta.Params)!.AsObject();
            root[field] = JsonNode.Parse(value);
            _folder.Write("meta/params.json", Encoding.UTF8.GetBytes(root.ToJsonString()));
            Refused("meta", null, what);
        }
        foreach (var field in (ReadOnlySpan<string>)["dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len"])
            foreach (var value in (ReadOnlySpan<string>)["0", "-2", "2147483647", "1e30", "\"8\"", "[]"])
                Params(field, value, field);
        foreach (var (field, value) in (ReadOnlySpan<(string, string)>)
            [("norm_eps", "0"), ("rope_theta", "-5"), ("ffn_dim_multiplier", "1e300"), ("ffn_dim_multiplier", "-1"), ("hidden_dim", "7"), ("moe_args", "{}"), ("use_qk_norm", "true")])
            Params(field, value, field is "ffn_dim_multiplier" ? "hidden_dim" : field is "hidden_dim" ? "w1" : field);
        _folder.Write("meta/params.json", Encoding.UTF8.GetBytes(TinyMeta.Params));
        for (var part = 0; part < 16; part++)
        {
            _folder.Write("meta/consolidated.01.pth", shard[..(shard.Length * part / 16)]);
            Refused("meta", null, "consolidated.01.pth");
        }
        _folder.Write("meta/consolidated.01.pth", shard);
        File.Move(_folder.File("meta/consolidated.01.pth"), _folder.File("meta/consolidated.07.pth"));
        Refused("meta", null, "consolidated.01.pth");
        Assert.InRange(_cases, LeastCases, int.MaxValue);
    }

    private static byte[] With(byte[] good, int offset, int value) => [.. good[..offset], .. BitConverter.GetBytes(value), .. good[(offset + sizeof(int))..]];

    private static byte[] Safetensors(string header, byte[] data) =>
        [.. BitConverter.GetBytes((long)Encoding.UTF8.GetByteCount(header)), .. Encoding.UTF8.GetBytes(header), .. data];

    private (string Header, byte[] Data) NativeCheckpoint(RandomModel model)
    {
        var metadata = new Dictionary<string, string>
        {
            ["format"] = "llamafs-checkpoint-1",
            ["model_args"] = JsonSerializer.Serialize(model.Config, CoreJsonContext.Default.LlamaConfig),
        };
        var tensors = TensorNames.All(model.Config, model.SharedClassifier).Select(tensor => SafetensorsEntry.Create(tensor.Name, "F32", tensor.Dimensions));
        SafetensorsWriter.Write(_folder.File("good"), metadata, [.. tensors], (entry, stream) => FloatWriter.Write(stream, model[entry.Name], NumberType.Float32, entry.Name));
        var good = File.ReadAllBytes(_folder.File("good"));
        var length = (int)BitConverter.ToInt64(good);
        return (Encoding.UTF8.GetString(good, 8, length), good[(8 + length)..]);
    }

    private void Refused(string name, byte[]? content, string what)
    {
        _cases++;
        if (content is not null)
            _folder.Write(name, content);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var error = Assert.ThrowsAny<Exception>(() =>
        {
            using var source = ModelSource.Open(_folder.File(name));
            ModelExport.Write(source, _folder.File("target.bin"), version: 2);
        });
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MostAllocated);
        Assert.True(error is InvalidDataException or IOException, error.ToString());
        Assert.True(error.Message.StartsWith(_folder.Path, StringComparison.Ordinal) && !error.Message.Contains('\n'), error.Message);
        Assert.True(error.Message.Contains(what, StringComparison.Ordinal), $"'{what}' is not in: {error.Message}");
        Assert.False(File.Exists(_folder.File("target.bin")));
    }
}
