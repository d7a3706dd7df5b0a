using LlamaFullstack.Core;

namespace LlamaFullstack.Inference.Benchmarks;

/// <summary>Shapes that models of this family are known by, with Llama 2's vocabulary (stories260K has its own).</summary>
public static class ModelShapes
{
    private const int Llama2VocabSize = 32000;

    /// <summary>The shapes by name: karpathy's tinyllamas, and TinyLlama's 1.1B with fewer key and value heads than queries.</summary>
    public static IReadOnlyDictionary<string, LlamaConfig> ByName { get; } = new Dictionary<string, LlamaConfig>(StringComparer.OrdinalIgnoreCase)
    {
        ["260K"] = Shape(64, 172, 5, 8, 4, 512, 512),
        ["15M"] = Shape(288, 768, 6, 6, 6, Llama2VocabSize, 256),
        ["42M"] = Shape(512, 1376, 8, 8, 8, Llama2VocabSize, 1024),
        ["110M"] = Shape(768, 2048, 12, 12, 12, Llama2VocabSize, 1024),
        ["1.1B"] = Shape(2048, 5632, 22, 32, 4, Llama2VocabSize, 2048),
    };

    private static LlamaConfig Shape(int dim, int hiddenDim, int layers, int heads, int kvHeads, int vocabSize, int context) => new()
    {
        Dim = dim,
        HiddenDim = hiddenDim,
        NLayers = layers,
        NHeads = heads,
        NKvHeads = kvHeads,
        VocabSize = vocabSize,
        MaxSeqLen = context,
    };
}
