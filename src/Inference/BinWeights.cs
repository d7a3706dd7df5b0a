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

    public override void Dispose() => file.Dispose();

    private WeightMatrix Matrix(ModelBinSection section)
    {
        var values = Map.Pointer + section.Offset;
        var scales = Map.Pointer + section.ScalesOffset;
        var (_, rows, cols) = section.Tensor;
        return section.Type switch
        {
            WeightType.Float32 => new Float32Matrix((float*)values, rows, cols),
            WeightType.Int8 => new Int8Matrix((sbyte*)values, (float*)scales, rows, cols, section.GroupSize),
            _ => new Int4Matrix(values, (Half*)scales, rows, cols, section.GroupSize),
        };
    }
}
