using System.Text;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using static LlamaFullstack.Inference.Tests.ScriptedModel;

namespace LlamaFullstack.Inference.Tests;

public sealed class GeneratorTests
{
    [Theory]
    [InlineData(Vocabulary.Bos)]
    [InlineData(Vocabulary.Eos)]
    public void Tokens_ModelEndsItsText_StopsWithoutTheMark(int mark)
    {
        using var script = new ScriptedModel(50, (Vocabulary.Bos, Byte('h')), (Byte('h'), Byte('i')), (Byte('i'), mark));
        var generator = new Generator(script.Transformer, script.Tokenizer, Greedy());
        Assert.Equal([Byte('h'), Byte('i')], generator.Tokens(new[] { Vocabulary.Bos }, steps: 0));
        Assert.Equal(3, generator.Statistics.Steps);
    }

    [Theory]
    [InlineData(0, 20)]
    [InlineData(7, 7)]
    [InlineData(20, 20)]
    [InlineData(21, 20)]
    [InlineData(int.MaxValue, 20)]
    public void Tokens_EndlessText_StopsAfterStepsOrAtTheContextsEnd(int steps, int expected)
    {
        using var script = new ScriptedModel(20, (Vocabulary.Bos, Byte('a')), (Byte('a'), Byte('a')));
        var generator = new Generator(script.Transformer, script.Tokenizer, Greedy());
        Assert.Equal(expected, generator.Tokens(new[] { Vocabulary.Bos }, steps).Count());
        Assert.Equal(expected, generator.Statistics.Steps);
    }

    [Fact]
    public void Tokens_PromptWithMarksInside_IsForcedWithoutCoins()
    {
        using var script = new ScriptedModel(20, (Byte('b'), Vocabulary.Eos));
        var sampler = WithCoins();
        int[] prompt = [Vocabulary.Bos, Byte('a'), Vocabulary.Eos, Vocabulary.Bos, Byte('b')];
        Assert.Equal(prompt[1..], new Generator(script.Transformer, script.Tokenizer, sampler).Tokens(prompt, steps: 0));
        // One coin went to the token after the prompt; this is the second of seed 42.
        Assert.Equal((3359763283u >> 8) / 16777216f, sampler.NextCoin());
    }

    [Fact]
    public void Tokens_PromptLongerThanSteps_IsCut()
    {
        using var script = new ScriptedModel(20);
        int[] prompt = [Vocabulary.Bos, Byte('a'), Byte('b'), Byte('c')];
        Assert.Equal([Byte('a'), Byte('b')], new Generator(script.Transformer, script.Tokenizer, Greedy()).Tokens(prompt, steps: 2));
    }

    [Fact]
    public void Tokens_EmptyPromptOrNegativeSteps_ThrowsAtOnce()
    {
        using var script = new ScriptedModel(20);
        var generator = new Generator(script.Transformer, script.Tokenizer, Greedy());
        Assert.Throws<ArgumentException>(() => generator.Tokens(Array.Empty<int>(), 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => generator.Tokens(new[] { 1 }, -1));
    }

    [Fact]
    public void Write_CancelledWhileWriting_StopsBeforeTheNextToken()
    {
        using var script = new ScriptedModel(200, (Vocabulary.Bos, Byte('a')), (Byte('a'), Byte('a')));
        using var cancellation = new CancellationTokenSource();
        var text = new StringBuilder();
        var generator = new Generator(script.Transformer, script.Tokenizer, Greedy());
        Assert.Throws<OperationCanceledException>(() => generator.Write("", 0, bytes =>
        {
            text.Append(Encoding.UTF8.GetString(bytes));
            if (text.Length == 3)
                cancellation.Cancel();
        }, cancellation.Token));
        Assert.Equal("aaa", text.ToString());
    }

    [Fact]
    public void Write_CharacterOfFourTokens_ComesInOnePiece()
    {
        var bytes = Encoding.UTF8.GetBytes("🙂").Select(b => Vocabulary.FirstByte + b).ToArray();
        using var script = new ScriptedModel(50, (Vocabulary.Bos, bytes[0]), (bytes[0], bytes[1]), (bytes[1], bytes[2]), (bytes[2], bytes[3]), (bytes[3], Vocabulary.Eos));
        var pieces = new List<string>();
        new Generator(script.Transformer, script.Tokenizer, Greedy()).Write("", 0, text => pieces.Add(Encoding.UTF8.GetString(text)));
        Assert.Equal(["🙂"], pieces.Where(piece => piece.Length > 0));
    }

    [Fact]
    public void Write_Prompt_IsWrittenFirst()
    {
        using var script = new ScriptedModel(50, (Byte('?'), Byte('!')), (Byte('!'), Vocabulary.Eos));
        var text = new StringBuilder();
        new Generator(script.Transformer, script.Tokenizer, Greedy()).Write("why é?", 0, bytes => text.Append(Encoding.UTF8.GetString(bytes)));
        Assert.Equal("why é?!", text.ToString());
    }

    [Fact]
    public void Constructor_TokenizerOfAnotherModel_NamesBothSizes()
    {
        using var script = new ScriptedModel(20);
        var error = Assert.Throws<ArgumentException>(() => new Generator(script.Transformer, Stories260K.Tokenizer(), Greedy()));
        Assert.StartsWith("the tokenizer has 512 tokens, but the model has 260.", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1, 0)]
    [InlineData(260, 0)]
    [InlineData(0, -1)]
    [InlineData(0, 20)]
    public void Forward_TokenOrPositionOutOfRange_Throws(int token, int pos)
    {
        using var script = new ScriptedModel(20);
        Assert.Throws<ArgumentOutOfRangeException>(() => script.Transformer.Forward(token, pos));
    }

    [Fact]
    public void Transformer_NaNWeights_AreReported()
    {
        using var folder = new TempFolder();
        var config = new LlamaConfig { Dim = 32, HiddenDim = 64, NLayers = 1, NHeads = 2, NKvHeads = 1, VocabSize = 40, MaxSeqLen = 16 };
        var weights = new RandomModel(config, sharedClassifier: true, seed: 1);
        weights[TensorNames.FfnNorm(0)][3] = float.NaN;
        foreach (var version in new[] { 0, 1, 2 })
        {
            var path = folder.File($"nan{version}.bin");
            ModelBinWriter.Write(path, weights, version);
            using var model = LlamaModel.Open(path);
            using var transformer = new Transformer(model, new EngineOptions { Threads = 2 });
            var sampler = new Sampler(config.VocabSize, 0f, 0.9f, seed: 1);
            Assert.Throws<InvalidDataException>(() => sampler.Sample(transformer.Forward(1, 0)));
        }
    }
}
