using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Core.Formats;

/// <summary>A type of tensor in a GGUF file that is read and written here: its name, its size, and its values as float32.</summary>
/// <remarks>The codes are ggml's. Values lie in blocks: one value in a float type, 32 in a quantised one.</remarks>
public sealed class GgufType
{
    /// <summary>float32.</summary>
    public static readonly GgufType F32 = new(0, "F32", blockLength: 1, blockBytes: 4);

    /// <summary>float16.</summary>
    public static readonly GgufType F16 = new(1, "F16", blockLength: 1, blockBytes: 2);

    /// <summary>4 bits a weight in blocks of 32 with a float16 scale; see <see cref="Q4Blocks"/>.</summary>
    public static readonly GgufType Q4 = new(2, "Q4_0", Q4Blocks.Length, Q4Blocks.Bytes);

    /// <summary>8 bits a weight in blocks of 32 with a float16 scale; see <see cref="Q8Blocks"/>.</summary>
    public static readonly GgufType Q8 = new(8, "Q8_0", Q8Blocks.Length, Q8Blocks.Bytes);

    /// <summary>bfloat16: the upper half of a float32.</summary>
    public static readonly GgufType BF16 = new(30, "BF16", blockLength: 1, blockBytes: 2);

    /// <summary>Every type that is known here.</summary>
    public static readonly IReadOnlyList<GgufType> All = [F32, F16, BF16, Q8, Q4];

    // ggml's other types, so that a message can call them by the name that people know.
    private static readonly Dictionary<uint, string> OtherNames = new()
    {
        [3] = "Q4_1",
        [6] = "Q5_0",
        [7] = "Q5_1",
        [9] = "Q8_1",
        [10] = "Q2_K",
        [11] = "Q3_K",
        [12] = "Q4_K",
        [13] = "Q5_K",
        [14] = "Q6_K",
        [15] = "Q8_K",
        [16] = "IQ2_XXS",
        [17] = "IQ2_XS",
        [18] = "IQ3_XXS",
        [19] = "IQ1_S",
        [20] = "IQ4_NL",
        [21] = "IQ3_S",
        [22] = "IQ2_S",
        [23] = "IQ4_XS",
        [24] = "I8",
        [25] = "I16",
        [26] = "I32",
        [27] = "I64",
        [28] = "F64",
        [29] = "IQ1_M",
        [34] = "TQ1_0",
        [35] = "TQ2_0",
        [39] = "MXFP4",
    };

    private GgufType(uint code, string name, int blockLength, int blockBytes)
    {
        (Code, Name, BlockLength, BlockBytes) = (code, name, blockLength, blockBytes);
    }

    /// <summary>ggml's number of the type.</summary>
    public uint Code { get; }

    /// <summary>ggml's name of the type.</summary>
    public string Name { get; }

    /// <summary>Values in a block: rows are whole blocks.</summary>
    public int BlockLength { get; }

    /// <summary>Bytes of a block.</summary>
    public int BlockBytes { get; }

    /// <summary>The type of a code; null where it is not read here.</summary>
    public static GgufType? Find(uint code) => All.FirstOrDefault(type => type.Code == code);

    /// <summary>The name of a code that <see cref="Find"/> does not know, for messages.</summary>
    public static string NameOfOther(uint code) => OtherNames.GetValueOrDefault(code) ?? $"the type {code}";

    /// <summary>Bytes of so many values.</summary>
    /// <param name="values">Whole blocks.</param>
    public long BytesOf(long values) => values / BlockLength * BlockBytes;

    /// <summary>Converts values to float32, exactly.</summary>
    /// <param name="bytes">Whole blocks; need not be aligned.</param>
    /// <param name="destination">As many values as the blocks hold.</param>
    /// <returns>False if the scale of a block is not a finite number; the output is then meaningless.</returns>
    public bool TryRead(ReadOnlySpan<byte> bytes, Span<float> destination)
    {
        if (this == Q8)
            return Q8Blocks.TryDequantize(bytes, destination);
        if (this == Q4)
            return Q4Blocks.TryDequantize(bytes, destination);
        NumberOf(this).ToFloat32(bytes, destination);
        return true;
    }

    /// <summary>Converts float32 to this type, to the nearest value.</summary>
    /// <param name="values">Whole blocks.</param>
    /// <param name="bytes"><see cref="BytesOf"/> bytes.</param>
    /// <returns>False if a quantised type is given a number that is not finite, or a float16 one that is finite but too large; the output is then meaningless.</returns>
    public bool TryWrite(ReadOnlySpan<float> values, Span<byte> bytes)
    {
        if (this == Q8)
            return Q8Blocks.TryQuantize(values, bytes);
        if (this == Q4)
            return Q4Blocks.TryQuantize(values, bytes);
        return NumberOf(this).TryFromFloat32(values, bytes);
    }

    private static NumberType NumberOf(GgufType type) => type == F32 ? NumberType.Float32 : type == F16 ? NumberType.Float16 : NumberType.BFloat16;
}
