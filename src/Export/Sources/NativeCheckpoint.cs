using System.Text.Json;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export.Sources;

/// <summary>A checkpoint of this project's own training: a safetensors file whose metadata holds the configuration as <c>model_args</c>.</summary>
/// <remarks>Only the weights are read: tensors named optimizer.* and the rest of the metadata are for resuming a training.</remarks>
public sealed class NativeCheckpoint : ITensorSource, IDisposable
{
    private const string ConfigKey = "model_args";
    private const string FormatKey = "format";
    private const string KnownFormat = "llamafs-checkpoint-1";

    private readonly SafetensorsFile _file;

    private NativeCheckpoint(SafetensorsFile file)
    {
        _file = file;
        Config = ReadConfig(file);
        SharedClassifier = !file.TryGet(TensorNames.Output, out _);
        TensorCheck.Shapes(file.Path, Config, SharedClassifier, name => file.TryGet(name, out var tensor) ? tensor.Shape : null);
    }

    /// <inheritdoc/>
    public LlamaConfig Config { get; }

    /// <inheritdoc/>
    public bool SharedClassifier { get; }

    /// <summary>Opens a checkpoint and checks that it has every tensor in its right shape.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, or not a checkpoint of this project.</exception>
    public static NativeCheckpoint Open(string path)
    {
        var file = SafetensorsFile.Open(path);
        try
        {
            return new NativeCheckpoint(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Read(string name, long start, Span<float> destination) =>
        _file.ReadFloats(this.NameHeld(name), start, destination);

    /// <inheritdoc/>
    public TensorStorage StorageOf(string name) =>
        _file.TryGet(this.NameHeld(name), out var tensor) ? new(tensor.Dtype, tensor.ByteLength)
        : throw new InvalidDataException($"{_file.Path}: has no tensor {name}.");

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();

    private static LlamaConfig ReadConfig(SafetensorsFile file)
    {
        if (!file.Metadata.TryGetValue(ConfigKey, out var json))
            throw new InvalidDataException($"{file.Path}: a safetensors file, but its metadata has no {ConfigKey}: not a checkpoint of llamafs train.");
        if (file.Metadata.GetValueOrDefault(FormatKey) is var format && format != KnownFormat)
            throw new InvalidDataException($"{file.Path}: has the {FormatKey} {PlainText.Quote(format ?? "")}, expected {KnownFormat}. Was it written by another version?");
        try
        {
            var config = JsonSerializer.Deserialize(json, CoreJsonContext.Default.LlamaConfig);
            return config?.Validated($"{file.Path}: {ConfigKey}") ?? throw new JsonException("null");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{file.Path}: {ConfigKey} is not a model's configuration: {PlainText.Quote(e)}.");
        }
    }
}
