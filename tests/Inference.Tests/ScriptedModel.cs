using System.Text;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Inference.Tests;

/// <summary>A model that says what it is told: after a given token, always the same next one.</summary>
/// <remarks>
/// Each token's embedding is a direction of its own, the blocks add nothing to it, and the classifier of the next token points there.
/// Its vocabulary is the three marks and the bytes, so that text is tokens one to one.
/// </remarks>
internal sealed class ScriptedModel : IDisposable
{
    private const int VocabSize = Vocabulary.FirstText + 1; // the last is the space of the dummy prefix
    private readonly TempFolder _folder = new();

    public ScriptedModel(int contextLength, params (int Token, int Next)[] script)
    {
        var config = new LlamaConfig
        {
            Dim = 512,
            HiddenDim = 2,
            NLayers = 1,
            NHeads = 1,
            NKvHeads = 1,
            VocabSize = VocabSize,
            MaxSeqLen = contextLength,
        };
        var weights = new RandomModel(config, sharedClassifier: false, seed: 1);
        Array.Clear(weights[TensorNames.Wo(0)]);
        Array.Clear(weights[TensorNames.W2(0)]);
        Array.Clear(weights[TensorNames.TokEmbeddings]);
        Array.Clear(weights[TensorNames.Output]);
        for (var token = 0; token < VocabSize; token++)
            weights[TensorNames.TokEmbeddings][token * config.Dim + token] = 1;
        foreach (var (token, next) in script)
            weights[TensorNames.Output][next * config.Dim + token] = 1;
        Path = _folder.File("scripted.bin");
        ModelBinWriter.Write(Path, weights, version: 1);

        Model = LlamaModel.Open(Path);
        Transformer = new Transformer(Model, new EngineOptions { Threads = 1 });
        Tokenizer = new Tokenizer(ByteVocabulary());
    }

    public string Path { get; }

    public LlamaModel Model { get; }

    public Transformer Transformer { get; }

    public Tokenizer Tokenizer { get; }

    public static int Byte(char c) => Vocabulary.FirstByte + c;

    public static Sampler Greedy() => new(VocabSize, temperature: 0, topP: 0.9f, seed: 1);

    public static Sampler WithCoins() => new(VocabSize, temperature: 0.01f, topP: 0.9f, seed: 42);

    public void Dispose()
    {
        Transformer.Dispose();
        Model.Dispose();
        _folder.Dispose();
    }

    private static Vocabulary ByteVocabulary()
    {
        List<Piece> pieces = [Mark("<unk>", PieceType.Unknown), Mark("<s>", PieceType.Control), Mark("</s>", PieceType.Control)];
        for (var value = 0; value < 256; value++)
            pieces.Add(Mark($"<0x{value:X2}>", PieceType.Byte));
        pieces.Add(new Piece(" "u8.ToArray(), -1, PieceType.Normal));
        return new Vocabulary { Pieces = pieces };
    }

    private static Piece Mark(string text, PieceType type) => new(Encoding.UTF8.GetBytes(text), 0, type);
}
