using System.Numerics;
using System.Runtime.InteropServices;
using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Core.Formats;

/// <summary>A model file of version 0, 1, 2 or 3, mapped into memory: its shape, and its weights as float32 for whoever asks.</summary>
/// <remarks>Knows where tensors lie, not how to run them: the engine takes its own typed views from <see cref="Map"/> and <see cref="Layout"/>.</remarks>
public sealed class ModelBinFile : ITensorSource, IDisposable
{
    private ModelBinFile(MappedFile map, ModelBinHeader header)
    {
        Map = map;
        Header = header;
        Layout = new ModelBinLayout(header);
    }

    /// <summary>The file's bytes.</summary>
    public MappedFile Map { get; }

    /// <summary>What the file says of itself.</summary>
    public ModelBinHeader Header { get; }

    /// <summary>Where its tensors lie.</summary>
    public ModelBinLayout Layout { get; }

    /// <inheritdoc/>
    public LlamaConfig Config => Header.Config;

    /// <inheritdoc/>
    public bool SharedClassifier => Header.SharedClassifier;

    /// <summary>Maps a file and checks its header and its length.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is not a llama2.c model, or it is damaged.</exception>
    public static ModelBinFile Open(string path)
    {
        var map = MappedFile.Open(path);
        try
        {
            return new ModelBinFile(map, ModelBinHeader.Read(map));
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    /// <remarks>Quantised tensors are dequantised. The classifier of a tied model is its embedding.</remarks>
    /// <exception cref="ObjectDisposedException">The file is no longer mapped.</exception>
    public void Read(string name, long start, Span<float> destination)
    {
        var section = Layout[this.NameHeld(name)];
        if (start < 0 || start > section.Tensor.Length - destination.Length)
            throw new ArgumentException($"{name} has {section.Tensor.Length} values, not {start + destination.Length}.", nameof(destination));
        switch (section.Type)
        {
            case WeightType.Float32:
                Map.ReadFloats(section.Offset + section.CodeBytes(start), NumberType.Float32, destination);
                break;
            case WeightType.Int8:
                Int8Groups.Dequantize(Values<sbyte>(section.Offset + section.CodeBytes(start), destination.Length), Scales<float>(section, start, destination.Length), section.GroupSize, destination);
                break;
            default:
                Int4Groups.Dequantize(Values<byte>(section.Offset + section.CodeBytes(start), destination.Length / 2), Scales<Half>(section, start, destination.Length), section.GroupSize, destination);
                break;
        }
    }

    /// <inheritdoc/>
    public TensorStorage StorageOf(string name)
    {
        var section = Layout[this.NameHeld(name)];
        var type = section.Type switch
        {
            WeightType.Float32 => "F32",
            WeightType.Int8 => $"int8/{section.GroupSize}",
            _ => $"int4/{section.GroupSize}",
        };
        return new(type, section.End - section.Offset);
    }

    /// <summary>Unmaps the file.</summary>
    public void Dispose() => Map.Dispose();

    private T[] Scales<T>(ModelBinSection section, long start, int count) where T : unmanaged, INumberBase<T>
    {
        var scales = Values<T>(section.ScalesOffset + section.ScaleBytes(start), count / section.GroupSize);
        foreach (var scale in scales)
            if (!T.IsFinite(scale))
                throw new InvalidDataException($"{Map.Path}: {section.Tensor.Name} has the scale {scale}, which is no finite number. Export the model again.");
        return scales;
    }

    private T[] Values<T>(long offset, int count) where T : unmanaged
    {
        var values = new T[count];
        Map.ReadBytes(offset, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }
}
