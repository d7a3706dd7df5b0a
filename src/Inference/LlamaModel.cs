using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Inference;

/// <summary>A model file, mapped and checked: typed views of its weights, none of them copied.</summary>
/// <remarks>Any number of <see cref="Transformer"/>s can run on one model at once; dispose of them first.</remarks>
public sealed unsafe class LlamaModel : IDisposable
{
    private readonly ModelBinFile _file;

    private LlamaModel(ModelBinFile file)
    {
        _file = file;
        Embedding = Matrix(TensorNames.TokEmbeddings);
        Layers = [.. Enumerable.Range(0, Config.NLayers).Select(LayerAt)];
        Norm = Vector(TensorNames.Norm);
        Classifier = file.SharedClassifier ? Embedding : Matrix(TensorNames.Output);
        WeightBytesPerToken = file.Layout.Sections
            .Where(section => section.Tensor.Name is not (ModelBinLayout.FreqsCos or ModelBinLayout.FreqsSin))
            .Where(section => file.SharedClassifier || section.Tensor.Name != TensorNames.TokEmbeddings)
            .Sum(section => section.End - section.Offset);
    }

    /// <summary>The file's name as it was given.</summary>
    public string Path => _file.Map.Path;

    /// <summary>The model's shape.</summary>
    public LlamaConfig Config => _file.Config;

    /// <summary>The file's version: 0 and 1 hold float32, 2 holds int8, 3 holds 4 bits.</summary>
    public int Version => _file.Header.Version;

    /// <summary>Bytes of weights that one token reads: what bounds the speed.</summary>
    public long WeightBytesPerToken { get; }

    /// <summary>Whether the weights are no longer mapped.</summary>
    internal bool IsDisposed => _file.Map.Pointer == null;

    /// <summary>Weights that share a scale; 0 for float32.</summary>
    internal int GroupSize => _file.Header.GroupSize;

    /// <summary>(vocab_size, dim).</summary>
    internal WeightMatrix Embedding { get; }

    /// <summary>The blocks in order.</summary>
    internal Layer[] Layers { get; }

    /// <summary>(dim).</summary>
    internal float* Norm { get; }

    /// <summary>(vocab_size, dim).</summary>
    internal WeightMatrix Classifier { get; }

    /// <summary>Maps a file of version 0 to 3 and checks it.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is not a llama2.c model, or it is damaged.</exception>
    public static LlamaModel Open(string path) => new(ModelBinFile.Open(path));

    /// <summary>Unmaps the file.</summary>
    public void Dispose() => _file.Dispose();

    private Layer LayerAt(int layer) => new(
        Vector(TensorNames.AttentionNorm(layer)),
        Matrix(TensorNames.Wq(layer)), Matrix(TensorNames.Wk(layer)), Matrix(TensorNames.Wv(layer)), Matrix(TensorNames.Wo(layer)),
        Vector(TensorNames.FfnNorm(layer)),
        Matrix(TensorNames.W1(layer)), Matrix(TensorNames.W2(layer)), Matrix(TensorNames.W3(layer)));

    private float* Vector(string name) => (float*)(_file.Map.Pointer + _file.Layout[name].Offset);

    private WeightMatrix Matrix(string name)
    {
        var section = _file.Layout[name];
        var values = _file.Map.Pointer + section.Offset;
        var scales = _file.Map.Pointer + section.ScalesOffset;
        return section.Type switch
        {
            WeightType.Float32 => new Float32Matrix((float*)values, section.Tensor.Cols),
            WeightType.Int8 => new Int8Matrix((sbyte*)values, (float*)scales, section.Tensor.Cols, section.GroupSize),
            _ => new Int4Matrix(values, (Half*)scales, section.Tensor.Cols, section.GroupSize),
        };
    }
}
