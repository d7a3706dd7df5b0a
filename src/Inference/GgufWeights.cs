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
    private readonly Dictionary<string, GgufType> _integers = []; // what was given out as int8 or 4 bits

    public override MappedFile Map => model.File.Map;

    public override LlamaConfig Config => model.Config;

    public override bool SharedClassifier => model.SharedClassifier;

    public override int GroupSize => _integers.Count > 0 ? Q8Blocks.Length : 0;

    public override float* Vector(string name) => Floats(model.Tensor(name));

    public override WeightMatrix[] Matrices(params ReadOnlySpan<string> names)
    {
        var type = model.Tensor(names[0]).Type;
        foreach (var name in names)
            if (model.Tensor(name).Type != type)
                type = GgufType.F32;
        var matrices = new WeightMatrix[names.Length];
        for (var i = 0; i < names.Length; i++)
        {
            var tensor = model.Tensor(names[i]);
            if (type.BlockLength > 1)
                _integers.Add(names[i], type);
            matrices[i] = type == GgufType.Q8 ? Int8(tensor) : type == GgufType.Q4 ? Int4(tensor) : new Float32Matrix(Floats(tensor), (int)tensor.Shape[^1]);
        }
        return matrices;
    }

    public override long BytesOf(TensorShape tensor) => !_integers.TryGetValue(tensor.Name, out var type) ? tensor.Length * sizeof(float)
        : type == GgufType.Q8 ? tensor.Length + tensor.Length / Q8Blocks.Length * sizeof(float)
        : type.BytesOf(tensor.Length);

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

    private Int8Matrix Int8(GgufTensor tensor)
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
        return new Int8Matrix(quantized, scales, (int)tensor.Shape[^1], Q8Blocks.Length);
    }

    private Int4Matrix Int4(GgufTensor tensor)
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
        return new Int4Matrix(codes, scales, (int)tensor.Shape[^1], Q4Blocks.Length);
    }
}
