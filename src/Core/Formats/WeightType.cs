namespace LlamaFullstack.Core.Formats;

/// <summary>How the numbers of a tensor are stored.</summary>
public enum WeightType
{
    /// <summary>float32.</summary>
    Float32,

    /// <summary>int8 values, then a float32 scale for each group: <see cref="Quantization.Int8Groups"/>.</summary>
    Int8,

    /// <summary>4-bit codes, two a byte, then a float16 scale for each group: <see cref="Quantization.Int4Groups"/>.</summary>
    Int4,
}
