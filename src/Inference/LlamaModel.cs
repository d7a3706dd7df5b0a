using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Inference;

/// <summary>A model file, mapped and checked: typed views of its weights.</summary>
/// <remarks>Any number of <see cref="Transformer"/>s can run on one model at once; dispose of them first.</remarks>
public sealed unsafe class LlamaModel : IDisposable
{
    private readonly ModelWeights _weights;

    private LlamaModel(ModelWeights weights)
    {
        _weights = weights;
        Embedding = weights.Matrices(TensorNames.TokEmbeddings)[0];
        Layers = new Layer[Config.NLayers];
        for (var layer = 0; layer < Layers.Length; layer++) // not by Linq, for which a program compiled ahead of time loads types when it runs
            Layers[layer] = LayerAt(layer);
        Norm = weights.Vector(TensorNames.Norm);
        Classifier = weights.SharedClassifier ? Embedding : weights.Matrices(TensorNames.Output)[0];
        var norms = (2L * Config.NLayers + 1) * Config.Dim * sizeof(float);
        WeightBytesPerToken = SumOfLayers(layer => layer.QkvBytes + layer.Wo.Bytes + layer.GateBytes + layer.W2.Bytes) + Classifier.Bytes + norms;
    }

    /// <summary>The file's name as it was given.</summary>
    public string Path => _weights.Map.Path;

    /// <summary>The model's shape.</summary>
    public LlamaConfig Config => _weights.Config;

    /// <summary>What the matrices hold: "fp32"; "int8" where any of them is; "int4" where those of the layers are.</summary>
    public string WeightType => Layers[0].Wq is Int4Matrix ? "int4" : GroupSize == 0 ? "fp32" : "int8";

    /// <summary>Bytes of weights that one token reads: what bounds the speed.</summary>
    public long WeightBytesPerToken { get; }

    /// <summary>The mapped file.</summary>
    internal MappedFile File => _weights.Map;

    /// <summary>Whether the weights are no longer mapped.</summary>
    internal bool IsDisposed => _weights.Map.Pointer == null;

    /// <summary>Weights that share a scale; 0 for float32.</summary>
    internal int GroupSize => _weights.GroupSize;

    /// <summary>(vocab_size, dim).</summary>
    internal WeightMatrix Embedding { get; }

    /// <summary>The blocks in order.</summary>
    internal Layer[] Layers { get; }

    /// <summary>(dim).</summary>
    internal float* Norm { get; }

    /// <summary>(vocab_size, dim).</summary>
    internal WeightMatrix Classifier { get; }

    /// <summary>Maps a llama2.c model file or a GGUF file, told apart by their content, and checks it.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is not a model of these formats, it is damaged, or there is no memory for its weights.</exception>
    public static LlamaModel Open(string path)
    {
        ModelWeights weights = GgufFile.Recognises(path) ? new GgufWeights(GgufModel.Open(path)) : new BinWeights(ModelBinFile.Open(path));
        try
        {
            return new LlamaModel(weights);
        }
        catch (OutOfMemoryException)
        {
            weights.Dispose();
            throw new InvalidDataException($"{path}: no memory for its weights, which are converted when a GGUF file of another type than F32 is run.");
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>The sum over all layers of something that each has.</summary>
    internal long SumOfLayers(Func<Layer, long> value)
    {
        var sum = 0L;
        foreach (var layer in Layers)
            sum += value(layer);
        return sum;
    }

    /// <summary>Unmaps the file.</summary>
    public void Dispose() => _weights.Dispose();

    private Layer LayerAt(int layer)
    {
        var qkv = _weights.Matrices(TensorNames.Wq(layer), TensorNames.Wk(layer), TensorNames.Wv(layer));
        var wo = _weights.Matrices(TensorNames.Wo(layer));
        var gateUp = _weights.Matrices(TensorNames.W1(layer), TensorNames.W3(layer));
        var down = _weights.Matrices(TensorNames.W2(layer));
        return new Layer(_weights.Vector(TensorNames.AttentionNorm(layer)), qkv[0], qkv[1], qkv[2], wo[0],
            _weights.Vector(TensorNames.FfnNorm(layer)), gateUp[0], down[0], gateUp[1]);
    }
}
