using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Quantization;

namespace LlamaFullstack.Inference;

/// <summary>The weights of a GGUF file. float32 is used where it lies; other types are brought into the engine's own once, when the file is opened.</summary>
/// <remarks>
/// Q8_0 becomes int8 in groups of 32: the same values, the scales in float32. float16, bfloat16 and Q4_0 become float32. A row that is not whole
/// groups cannot be Q8_0 in the file, so a matrix of such rows is never int8 here.
/// </remarks>
internal sealed unsafe class GgufWeights(GgufModel model) : ModelWeights
{
    private readonly NativeBuffers _buffers = new();
    private readonly HashSet<string> _int8 = [];

    public override MappedFile Map => model.File.Map;

    public override LlamaConfig Config => model.Config;

    public override bool SharedClassifier => model.SharedClassifier;

    public override int GroupSize => _int8.Count > 0 ? Q8Blocks.Length : 0;

    public override float* Vector(string name) => Floats(model.Tensor(name));

    public override WeightMatrix[] Matrices(params ReadOnlySpan<string> names)
    {
        var areInt8 = true;
        foreach (var name in names)
            areInt8 &= model.Tensor(name).Type == GgufType.Q8;
        var matrices = new WeightMatrix[names.Length];
        for (var i = 0; i < names.Length; i++)
        {
            var tensor = model.Tensor(names[i]);
            if (areInt8)
                _int8.Add(names[i]);
            matrices[i] = areInt8 ? Int8(tensor) : new Float32Matrix(Floats(tensor), (int)tensor.Shape[^1]);
        }
        return matrices;
    }

    public override long BytesOf(TensorShape tensor) =>
        _int8.Contains(tensor.Name) ? tensor.Length + tensor.Length / Q8Blocks.Length * sizeof(float) : tensor.Length * sizeof(float);

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
}
