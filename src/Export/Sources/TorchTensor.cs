using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export.Sources;

/// <summary>Values that one or more tensors of a PyTorch file share: a flat array.</summary>
internal sealed class TorchStorage(string key, NumberType? dtype, long count)
{
    /// <summary>Its name in the file.</summary>
    public string Key => key;

    /// <summary>The type of its values; null where only its tensors know (an untyped storage, counted in bytes).</summary>
    public NumberType? DType => dtype;

    /// <summary>Number of values.</summary>
    public long Count => count;

    /// <summary>Where its bytes lie in the file. The layout before zip tells it only after the tensors.</summary>
    public ByteRange Bytes { get; set; }

    /// <summary>Bytes of one value.</summary>
    public int ElementSize => DType?.Size() ?? 1;
}

/// <summary>A view of a storage as an array of some dimensions. Its constructor makes sure that every value lies inside the storage.</summary>
internal sealed class TorchTensor
{
    // PyTorch's own limit.
    private const int MaxDimensions = 64;

    /// <summary>Its type, and its size without what else its storage holds.</summary>
    public TensorStorage Held => new($"{DType}", Length * DType.Size());

    /// <param name="storage">The values.</param>
    /// <param name="dtype">Their type.</param>
    /// <param name="offset">Index of the first value in the storage.</param>
    /// <param name="shape">Length along each dimension; none for a scalar.</param>
    /// <param name="strides">Distance in values between neighbours along each dimension.</param>
    /// <exception cref="InvalidDataException">The tensor would reach beyond its storage. The message does not name the file.</exception>
    public TorchTensor(TorchStorage storage, NumberType dtype, long offset, long[] shape, long[] strides)
    {
        (Storage, DType, Offset, Shape, Strides) = (storage, dtype, offset, shape, strides);
        if (shape.Length > MaxDimensions || shape.Length != strides.Length)
            throw new InvalidDataException($"a tensor has {shape.Length} dimensions and {strides.Length} strides, expected as many strides as dimensions and at most {MaxDimensions}");

        // A product of two 63 bit numbers fits 128 bits, and sums are cut to 63 bits, so nothing overflows.
        Int128 last = offset;
        Int128 length = 1;
        var negative = offset < 0;
        for (var i = 0; i < shape.Length; i++)
        {
            negative |= shape[i] < 0 || strides[i] < 0;
            last = Int128.Min(last + (Int128)Math.Max(0, shape[i] - 1) * strides[i], long.MaxValue);
            length = Int128.Min(length * shape[i], long.MaxValue);
        }
        if (negative)
            throw new InvalidDataException($"a tensor of storage {PlainText.Quote(storage.Key)} has a negative offset, length or stride ({Describe()})");
        Length = shape.Contains(0) ? 0 : (long)length;

        var available = storage.Count * storage.ElementSize / dtype.Size();
        if (Length > 0 && last >= available)
            throw new InvalidDataException($"a tensor of storage {PlainText.Quote(storage.Key)} reaches value {last:N0}, but the storage has {available:N0} ({Describe()})");
    }

    /// <summary>The values.</summary>
    public TorchStorage Storage { get; }

    /// <summary>Their type.</summary>
    public NumberType DType { get; }

    /// <summary>Index of the first value in the storage.</summary>
    public long Offset { get; }

    /// <summary>Length along each dimension; none for a scalar.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>Distance in values between neighbours along each dimension.</summary>
    public IReadOnlyList<long> Strides { get; }

    /// <summary>Number of values, at most long.MaxValue: with strides of 0 a few bytes can claim to be as many.</summary>
    public long Length { get; }

    /// <summary>The part with this index along the first dimension.</summary>
    public TorchTensor Row(long index) => new(Storage, DType, Offset + index * Strides[0], [.. Shape.Skip(1)], [.. Strides.Skip(1)]);

    /// <summary>Some of a matrix's rows.</summary>
    public TorchTensor Rows(long first, long count) => new(Storage, DType, Offset + first * Strides[0], [count, Shape[1]], [.. Strides]);

    /// <summary>Whether both are the same view of the same storage.</summary>
    public bool IsSameView(TorchTensor other) =>
        Storage == other.Storage && DType == other.DType && Offset == other.Offset && Shape.SequenceEqual(other.Shape) && Strides.SequenceEqual(other.Strides);

    private string Describe() =>
        $"shape ({string.Join(", ", Shape)}), strides ({string.Join(", ", Strides)}), offset {Offset}";
}
