using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Inference;

/// <summary>The weights of a GGUF file. float32 is used where it lies; other types are brought into the engine's own once, when the file is opened.</summary>
/// <remarks>
/// Q8_0 becomes int8 and Q4_0 4 bits, in groups of 32: the same integers, the scales beside them. float16 and bfloat16 become float32, and so do matrices
/// that multiply one activation and are not all of one type. A row that is not whole groups is neither Q8_0 nor Q4_0 in the file.
/// </remarks>
internal sealed unsafe class GgufWeights(GgufModel model) : ModelWeights
{
    private readonly NativeBuffers _buffers = new();
    private bool _hasIntegers; // given out as int8 or 4 bits

    public override MappedFile Map => model.File.Map;

    public override LlamaConfig Config => model.Config;

    public override bool SharedClassifier => model.SharedClassifier;

    public override int GroupSize => _hasIntegers ? Q8Blocks.Length : 0;

    public override float* Vector(string name) => Floats(model.Tensor(name));

    public override WeightMatrix[] Matrices(params ReadOnlySpan<string> names)
    {
        var type = model.Tensor(names[0]).Type;
        foreach (var name in names)
            if (model.Tensor(name).Type != type)
                type = GgufType.F32;
        _hasIntegers |= type.BlockLength > 1;
        var matrices = new WeightMatrix[names.Length];
        for (var i = 0; i < names.Length; i++)
        {
            var tensor = model.Tensor(names[i]);
            var (rows, cols) = ((int)tensor.Shape[0], (int)tensor.Shape[1]);
            matrices[i] = type == GgufType.Q8 ? Int8(tensor, rows, cols) : type == GgufType.Q4 ? Int4(tensor, rows, cols) : new Float32Matrix(Floats(tensor), rows, cols);
        }
        return matrices;
    }

    public override void Dispose()
    {
        model.Dispose();
        _buffers.Dispose();
    }

    private float* Floats(GgufTensor tensor)
    {
        if (tensor.Type == GgufType.F32)
            return (float*)(Map.Pointer + tensor.Offset); // aligned: the file's alignment is 8 or more
        var count = tensor.Shape.Aggregate(1L, (product, dimension) => product * dimension);
        var floats = _buffers.Allocate<float>(count);
        const int Part = 1 << 20;
        for (var start = 0L; start < count; start += Part)
            model.File.Read(tensor, start, new Span<float>(floats + start, (int)Math.Min(Part, count - start)));
        return floats;
    }

    private Int8Matrix Int8(GgufTensor tensor, int rows, int cols)
    {
        var blocks = tensor.ByteLength / Q8Blocks.Bytes;
        var quantized = _buffers.Allocate<sbyte>(blocks * Q8Blocks.Length);
        var scales = _buffers.Allocate<float>(blocks);
        const int Part = 1 << 16;
        for (var start = 0L; start < blocks; start += Part)
        {
            var count = (int)Math.Min(Part, blocks - start);
            if (!Q8Blocks.TrySplit(Map.Span(tensor.Offset + start * Q8Blocks.Bytes, count * Q8Blocks.Bytes),
                new Span<sbyte>(quantized + start * Q8Blocks.Length, count * Q8Blocks.Length), new Span<float>(scales + start, count)))
                throw model.File.BadScale(tensor);
        }
        return new Int8Matrix(quantized, scales, rows, cols, Q8Blocks.Length);
    }

    private Int4Matrix Int4(GgufTensor tensor, int rows, int cols)
    {
        var blocks = tensor.ByteLength / Q4Blocks.Bytes;
        var codes = _buffers.Allocate<byte>(blocks * Q4Blocks.Length / 2);
        var scales = _buffers.Allocate<Half>(blocks);
        const int Part = 1 << 16;
        for (var start = 0L; start < blocks; start += Part)
        {
            var count = (int)Math.Min(Part, blocks - start);
            if (!Q4Blocks.TrySplit(Map.Span(tensor.Offset + start * Q4Blocks.Bytes, count * Q4Blocks.Bytes),
                new Span<byte>(codes + start * Q4Blocks.Length / 2, count * Q4Blocks.Length / 2), new Span<Half>(scales + start, count)))
                throw model.File.BadScale(tensor);
        }
        return new Int4Matrix(codes, scales, rows, cols, Q4Blocks.Length);
    }
}
