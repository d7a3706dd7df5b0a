using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Inference;

/// <summary>The weights of a llama2.c model file: views of the mapped bytes, none of them copied.</summary>
internal sealed unsafe class BinWeights(ModelBinFile file) : ModelWeights
{
    public override MappedFile Map => file.Map;

    public override LlamaConfig Config => file.Config;

    public override bool SharedClassifier => file.SharedClassifier;

    public override int GroupSize => file.Header.GroupSize;

    public override float* Vector(string name) => (float*)(Map.Pointer + file.Layout[name].Offset);

    public override WeightMatrix[] Matrices(params ReadOnlySpan<string> names)
    {
        var matrices = new WeightMatrix[names.Length];
        for (var i = 0; i < names.Length; i++)
            matrices[i] = Matrix(file.Layout[names[i]]);
        return matrices;
    }

    public override long BytesOf(TensorShape tensor)
    {
        var section = file.Layout[tensor.Name];
        return section.End - section.Offset;
    }

    public override void Dispose() => file.Dispose();

    private WeightMatrix Matrix(ModelBinSection section)
    {
        var values = Map.Pointer + section.Offset;
        return section.IsQuantized
            ? new Int8Matrix((sbyte*)values, (float*)(Map.Pointer + section.ScalesOffset), section.Tensor.Cols, section.GroupSize)
            : new Float32Matrix((float*)values, section.Tensor.Cols);
    }
}
