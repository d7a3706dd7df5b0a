using System.Globalization;

namespace LlamaFullstack.EndToEnd.Tests;

/// <summary>The whole path on real TinyStories: a minute of training, the longest test of all.</summary>
public class RealStoriesTests
{
    // tokenizer.model lies where llama2.c has it, beside the programs.
    [Fact]
    public void Llama2sOwnVocabulary_FromTheCurrentFolder_IsTrainedWithAndLiesBesideTheModel()
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder.File("data/TinyStories_all_data"));
        foreach (var shard in new[] { "data00.json", "data01.json" })
            File.WriteAllBytes(folder.File($"data/TinyStories_all_data/{shard}"), File.ReadAllBytes(Fixtures.Path("tinystories", $"TinyStories_all_data/{shard}")));
        Llamafs.Run(["data", "pretokenize"], folder.Path).AssertFails(1, "data/tokenizer.model: no such file. Put Llama 2's own tokenizer.model there or in the current folder, or train a vocabulary: ");
        File.WriteAllBytes(folder.File("tokenizer.model"), File.ReadAllBytes(Fixtures.Path("llama2-tokenizer", "tokenizer.model")));
        Llamafs.Run(["data", "pretokenize"], folder.Path).AssertSucceeds();

        var run = Llamafs.Run(["train", "--dim=16", "--n_layers=1", "--n_heads=2", "--batch_size=1", "--gradient_accumulation_steps=1", "--max_iters=1", "--eval_iters=1", "--device=cpu"], folder.Path);
        Assert.Contains("sample at 1: ", run.AssertSucceeds().Out, StringComparison.Ordinal);
        Assert.Equal(File.ReadAllBytes(Fixtures.Path("llama2-tokenizer", "tokenizer.bin")), File.ReadAllBytes(folder.File("out/tokenizer.bin")));
    }

    [Fact]
    public void TinyStories_VocabularyToStory_LearnsAndAgreesInEveryFormat()
    {
        using var folder = new TempFolder();
        Directory.CreateDirectory(folder.File("data/TinyStories_all_data"));
        foreach (var shard in Directory.GetFiles(Fixtures.Path("tinystories", "TinyStories_all_data")))
            File.WriteAllBytes(folder.File($"data/TinyStories_all_data/{Path.GetFileName(shard)}"), File.ReadAllBytes(shard));

        Run("data", "train_vocab", "--vocab_size=512");
        Assert.Equal(File.ReadAllText(Fixtures.Path("spm-train", "stories-512.vocab")), File.ReadAllText(folder.File("data/tok512.vocab")));
        Run("data", "pretokenize", "--vocab_size=512");
        Run("train", "--preset=260K", "--max_seq_len=256", "--batch_size=4", "--learning_rate=4e-3", "--max_iters=600", "--device=cpu", "--dtype=float32");
        foreach (var version in new[] { "0", "1", "2" })
            Run("export", $"out/v{version}.bin", "--version", version);

        var loss = Loss("v0");
        Assert.InRange(loss, 1.0, 3.0);
        Assert.Equal(loss, Loss("v1"));
        Assert.InRange(Loss("v2"), 0.99 * loss, 1.01 * loss);
        var story = Story("v0");
        Assert.StartsWith("Once upon a time", story);
        Assert.Equal(story, Story("v1"));
        Assert.StartsWith("Once upon a time", Story("v2"));

        string Run(params string[] args) => Llamafs.Run(args, folder.Path).AssertSucceeds().Out;
        string Story(string model) => Run("run", $"out/{model}.bin", "-t", "0", "-n", "100", "-i", "Once upon a time");
        double Loss(string model) => double.Parse(Run("eval", $"out/{model}.bin", "--max_tokens=40000").Split(' ')[2], CultureInfo.InvariantCulture);
    }
}
