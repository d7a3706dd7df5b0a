using System.Text;
using System.Text.Json;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Export.Sources;

namespace LlamaFullstack.Export.Targets;

/// <summary>Writes a folder that Hugging Face's transformers loads: config.json, generation_config.json, the weights as safetensors, and the tokenizer.</summary>
public static class HuggingFaceWriter
{
    /// <summary>Bytes of a shard that transformers does not exceed, too, unless one tensor is larger.</summary>
    public const long DefaultShardLength = 5_000_000_000;

    private const string WeightsName = "model.safetensors";
    private const string TokenizerName = "tokenizer.model";
    private const string IndexName = WeightsName + ".index.json";

    // transformers refuses a file that does not say which library its tensors are for.
    private static readonly Dictionary<string, string> Metadata = new() { ["format"] = "pt" };

    /// <summary>Writes the folder, one tensor at a time; each file is replaced atomically.</summary>
    /// <param name="folder">The folder; created where it is missing.</param>
    /// <param name="source">The weights.</param>
    /// <param name="type">Float32 or Float16.</param>
    /// <param name="tokenizer">The model's tokenizer; null to write none.</param>
    /// <param name="shardLength">Bytes of tensors in one file before the next is begun.</param>
    /// <param name="progress">Told of each tensor once it is written.</param>
    /// <param name="cancellation">Stops between two tensors.</param>
    /// <returns>Bytes of all tensors.</returns>
    /// <exception cref="IOException">A file cannot be written.</exception>
    /// <exception cref="InvalidDataException">The source is damaged, or a weight does not fit float16.</exception>
    public static long Write(string folder, ITensorSource source, NumberType type = NumberType.Float32, SentencePieceModel? tokenizer = null, long shardLength = DefaultShardLength,
        IProgress<TensorWritten>? progress = null, CancellationToken cancellation = default)
    {
        var tensors = TensorNames.All(source.Config, source.SharedClassifier).ToList();
        var shards = Split(tensors, shardLength / type.Size());
        if (File.Exists(folder))
            throw new IOException($"{folder}: is a file, but version -1 is a folder of several. Remove it, or name another folder.");
        Directory.CreateDirectory(folder);
        var theirs = new InTheirOrder(source);
        var written = 0;
        var weightMap = new Dictionary<string, string>();
        for (var i = 0; i < shards.Count; i++)
        {
            var name = shards.Count == 1 ? WeightsName : $"model-{i + 1:00000}-of-{shards.Count:00000}.safetensors";
            var byName = shards[i].ToDictionary(tensor => HuggingFaceNames.Of(tensor.Name));
            SafetensorsWriter.Write(Path.Combine(folder, name), Metadata,
                [.. byName.Select(entry => SafetensorsEntry.Create(entry.Key, type == NumberType.Float16 ? "F16" : "F32", entry.Value.Dimensions))],
                (entry, file) =>
                {
                    cancellation.ThrowIfCancellationRequested();
                    var tensor = byName[entry.Name];
                    FloatWriter.Write(file, theirs, tensor, type);
                    weightMap.Add(entry.Name, name);
                    progress?.Report(new TensorWritten(written++, tensors.Count, tensor, 0, 0));
                });
        }

        var length = tensors.Sum(tensor => tensor.Length) * type.Size();
        if (shards.Count > 1)
        {
            WriteJson(Path.Combine(folder, IndexName), json => WriteIndex(json, length, weightMap));
            File.Delete(Path.Combine(folder, WeightsName)); // an old one would be found before the index
        }
        WriteJson(Path.Combine(folder, HuggingFaceFolder.ConfigName), json => WriteConfig(json, source, type));
        WriteJson(Path.Combine(folder, "generation_config.json"), WriteMarks);
        if (tokenizer is not null)
            WriteTokenizer(folder, tokenizer, source.Config);
        return length;
    }

    private static List<List<TensorShape>> Split(List<TensorShape> tensors, long maxValues)
    {
        var shards = new List<List<TensorShape>>();
        var room = 0L;
        foreach (var tensor in tensors)
        {
            if (shards.Count == 0 || tensor.Length > room)
            {
                shards.Add([]);
                room = maxValues;
            }
            shards[^1].Add(tensor);
            room -= tensor.Length;
        }
        return shards;
    }

    private static void WriteIndex(Utf8JsonWriter json, long length, Dictionary<string, string> weightMap)
    {
        json.WriteStartObject("metadata");
        json.WriteNumber("total_size", length);
        json.WriteEndObject();
        json.WriteStartObject("weight_map");
        foreach (var (name, file) in weightMap)
            json.WriteString(name, file);
        json.WriteEndObject();
    }

    private static void WriteConfig(Utf8JsonWriter json, ITensorSource source, NumberType type)
    {
        var config = source.Config;
        json.WriteStartArray("architectures");
        json.WriteStringValue("LlamaForCausalLM");
        json.WriteEndArray();
        json.WriteString("model_type", "llama");
        json.WriteString("hidden_act", "silu");
        json.WriteNumber("hidden_size", config.Dim);
        json.WriteNumber("intermediate_size", config.HiddenDim);
        json.WriteNumber("num_hidden_layers", config.NLayers);
        json.WriteNumber("num_attention_heads", config.NHeads);
        json.WriteNumber("num_key_value_heads", config.NKvHeads);
        json.WriteNumber("head_dim", config.HeadSize);
        json.WriteNumber("vocab_size", config.VocabSize);
        json.WriteNumber("max_position_embeddings", config.MaxSeqLen);
        json.WriteNumber("rms_norm_eps", config.NormEps);
        json.WriteNumber("rope_theta", config.RopeTheta);
        if (config.RopeScaling is { } scaling)
        {
            json.WritePropertyName("rope_scaling");
            JsonSerializer.Serialize(json, scaling, CoreJsonContext.Default.RopeScaling);
        }
        json.WriteBoolean("tie_word_embeddings", source.SharedClassifier);
        json.WriteBoolean("attention_bias", false);
        json.WriteBoolean("mlp_bias", false);
        json.WriteString("torch_dtype", type == NumberType.Float16 ? "float16" : "float32");
        WriteMarks(json);
    }

    // What LlamaTokenizer of transformers reads: the pieces, how they are used, and the marks by their names.
    private static void WriteTokenizer(string folder, SentencePieceModel tokenizer, LlamaConfig config)
    {
        tokenizer.Write(Path.Combine(folder, TokenizerName));
        WriteJson(Path.Combine(folder, "special_tokens_map.json"), json => WriteMarkTexts(json, tokenizer));
        WriteJson(Path.Combine(folder, "tokenizer_config.json"), json =>
        {
            json.WriteString("tokenizer_class", "LlamaTokenizer");
            json.WriteBoolean("add_bos_token", true);
            json.WriteBoolean("add_eos_token", false);
            json.WriteBoolean("add_prefix_space", tokenizer.Vocabulary.AddDummyPrefix);
            json.WriteBoolean("clean_up_tokenization_spaces", false);
            json.WriteBoolean("legacy", false);
            json.WriteNumber("model_max_length", config.MaxSeqLen);
            WriteMarkTexts(json, tokenizer);
        });
    }

    private static void WriteMarkTexts(Utf8JsonWriter json, SentencePieceModel tokenizer)
    {
        json.WriteString("bos_token", tokenizer.Vocabulary.Pieces[Core.Tokenization.Vocabulary.Bos].Text.Span);
        json.WriteString("eos_token", tokenizer.Vocabulary.Pieces[Core.Tokenization.Vocabulary.Eos].Text.Span);
        json.WriteString("unk_token", tokenizer.Vocabulary.Pieces[Core.Tokenization.Vocabulary.Unk].Text.Span);
    }

    private static void WriteMarks(Utf8JsonWriter json)
    {
        json.WriteNumber("bos_token_id", Core.Tokenization.Vocabulary.Bos);
        json.WriteNumber("eos_token_id", Core.Tokenization.Vocabulary.Eos);
    }

    private static void WriteJson(string path, Action<Utf8JsonWriter> writeFields)
    {
        using var text = new MemoryStream();
        using (var json = new Utf8JsonWriter(text, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            writeFields(json);
            json.WriteEndObject();
        }
        text.Write("\n"u8);
        AtomicFile.WriteAllText(path, Encoding.UTF8.GetString(text.ToArray()));
    }

    private sealed class InTheirOrder(ITensorSource source) : ITensorSource
    {
        public LlamaConfig Config => source.Config;

        public bool SharedClassifier => source.SharedClassifier;

        public void Read(string name, long start, Span<float> destination)
        {
            if (!HuggingFaceNames.IsPermuted(name))
            {
                source.Read(name, start, destination);
                return;
            }
            var cols = Config.Dim;
            for (var row = (int)(start / cols); !destination.IsEmpty; row++, destination = destination[cols..])
                source.Read(name, HuggingFaceNames.LlamaRow(row, Config.HeadSize) * (long)cols, destination[..cols]);
        }
    }
}
