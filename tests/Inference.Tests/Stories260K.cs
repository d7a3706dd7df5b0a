using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Inference.Tests;

/// <summary>karpathy's smallest model, from the fixtures.</summary>
internal static class Stories260K
{
    public const int GroupSize = 4; // the largest that divides its hidden_dim of 172

    public static string Path => Fixtures.Path("stories260K", "stories260K.bin");

    public static int[] GreedyIds => Fixtures.Ids("stories260K", "tokens_260K_greedy_200.txt");

    public static float[] GreedyLogits => Fixtures.Floats("stories260K", "logits_260K_greedy_200x512_f32le.bin");

    public static Tokenizer Tokenizer() => new(TokenizerBin.Read(Fixtures.Path("stories260K", "tok512.bin")));

    /// <summary>Writes the model as another version.</summary>
    public static string WriteAs(int version, TempFolder folder)
    {
        using var source = ModelBinFile.Open(Path);
        var path = folder.File($"stories260K_v{version}.bin");
        ModelBinWriter.Write(path, source, version, version == 2 ? GroupSize : null);
        return path;
    }
}
