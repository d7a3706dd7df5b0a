namespace LlamaFullstack.Core.Formats;

/// <summary>A tensor in a safetensors file.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Dtype">F32, F16, BF16, F64, I64, I32, I16, I8, U8 or BOOL.</param>
/// <param name="Shape">Its dimensions; empty for a scalar.</param>
/// <param name="ByteLength">Its size.</param>
public sealed record SafetensorsEntry(string Name, string Dtype, IReadOnlyList<long> Shape, long ByteLength)
{
    /// <summary>Makes an entry whose size follows from its dtype and shape.</summary>
    /// <exception cref="ArgumentException">The dtype is not known, or the size does not fit 63 bits.</exception>
    public static SafetensorsEntry Create(string name, string dtype, params IReadOnlyList<long> shape)
    {
        var size = (Int128)ItemSize(dtype);
        if (size == 0)
            throw new ArgumentException($"tensor {PlainText.Quote(name)} has dtype {PlainText.Quote(dtype)}, which is not known.", nameof(dtype));
        foreach (var dimension in shape)
        {
            if (dimension < 0)
                throw new ArgumentException($"tensor {PlainText.Quote(name)} has the dimension {dimension}.", nameof(shape));
            size = size * dimension is var product && product <= long.MaxValue ? product
                : throw new ArgumentException($"tensor {PlainText.Quote(name)} of shape [{string.Join(", ", shape)}] is larger than any file.", nameof(shape));
        }
        return new SafetensorsEntry(name, dtype, shape, (long)size);
    }

    /// <summary>Number of values.</summary>
    public long Count => ByteLength / ItemSize(Dtype);

    /// <summary>Bytes of one value; 0 for a dtype that is not known.</summary>
    public static int ItemSize(string dtype) => dtype switch
    {
        "F64" or "I64" => 8,
        "F32" or "I32" => 4,
        "F16" or "BF16" or "I16" => 2,
        "I8" or "U8" or "BOOL" => 1,
        _ => 0,
    };
}
