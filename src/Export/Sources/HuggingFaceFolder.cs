using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export.Sources;

/// <summary>A Llama model in a folder of Hugging Face's: config.json, and the weights as safetensors or as PyTorch files, in one file or in shards.</summary>
public sealed class HuggingFaceFolder : ITensorSource, IDisposable
{
    /// <summary>The file that makes a folder one of Hugging Face's.</summary>
    public const string ConfigName = "config.json";

    // Of a model of 1,000 shards and 100,000 tensors.
    private const long MaxIndexLength = 64 << 20;

    // In this order, as transformers looks for them.
    private static readonly string[] WeightNames = ["model.safetensors", "pytorch_model.bin"];

    private readonly WeightFiles _files;

    private HuggingFaceFolder(string path, HuggingFaceConfig config, WeightFiles files)
    {
        (_files, Config) = (files, config.Model);
        SharedClassifier = config.IsTied;
        TensorCheck.Shapes(path, Config, SharedClassifier, name => files.Tensors.GetValueOrDefault(HuggingFaceNames.Of(name))?.Shape);
        TensorCheck.Names(Config, _files.Tensors.Select(tensor => (tensor.Key, tensor.Value.Path)), HuggingFaceNames.Of, name => name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal));
    }

    /// <inheritdoc/>
    public LlamaConfig Config { get; }

    /// <inheritdoc/>
    public bool SharedClassifier { get; }

    /// <summary>Whether a path is a folder of this kind.</summary>
    public static bool Recognises(string path) => InputFile.Exists(Path.Combine(path, ConfigName));

    /// <summary>Opens a folder and checks that it has every tensor in its right shape.</summary>
    /// <exception cref="IOException">A file is missing or cannot be read.</exception>
    /// <exception cref="InvalidDataException">A file is damaged or hostile, or the model is not Llama's architecture.</exception>
    public static HuggingFaceFolder Open(string path)
    {
        var config = HuggingFaceConfig.Read(Path.Combine(path, ConfigName));
        var files = WeightFiles.Open(FindWeights(path));
        try
        {
            return new HuggingFaceFolder(path, config, files);
        }
        catch
        {
            files.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Read(string name, long start, Span<float> destination)
    {
        var tensor = _files.Tensors[HuggingFaceNames.Of(this.NameHeld(name))];
        if (!HuggingFaceNames.IsPermuted(name))
        {
            tensor.Read(start, destination);
            return;
        }
        for (var row = (int)(start / Config.Dim); !destination.IsEmpty; row++, destination = destination[Config.Dim..])
            tensor.Read(HuggingFaceNames.TheirRow(row, Config.HeadSize) * (long)Config.Dim, destination[..Config.Dim]);
    }

    /// <inheritdoc/>
    public TensorStorage StorageOf(string name) =>
        _files.Tensors[HuggingFaceNames.Of(this.NameHeld(name))].Storage;

    /// <summary>Closes the files.</summary>
    public void Dispose() => _files.Dispose();

    private static List<string> FindWeights(string folder)
    {
        foreach (var name in WeightNames)
        {
            var single = Path.Combine(folder, name);
            if (File.Exists(single))
                return [single];
            if (File.Exists(single + ".index.json"))
                return ReadIndex(folder, single + ".index.json");
        }
        throw new FileNotFoundException($"{folder}: has no {string.Join(" and no ", WeightNames)}, nor an index of shards beside {ConfigName}.");
    }

    private static List<string> ReadIndex(string folder, string path)
    {
        var index = ForeignJson.Read(path, MaxIndexLength);
        var map = index.Object("weight_map") ?? throw index.Bad("has no weight_map");
        var names = map.Root.EnumerateObject().Select(entry => entry.Value.ToString()).ToHashSet();
        foreach (var name in names)
            if (name.Length == 0 || name != Path.GetFileName(name) || name.Contains('\\') || name is "." or "..")
                throw new InvalidDataException($"{path}: {PlainText.Quote(name)} is not the plain name of a file beside it.");
        return [.. names.Order(StringComparer.Ordinal).Select(name => Path.Combine(folder, name))];
    }
}
