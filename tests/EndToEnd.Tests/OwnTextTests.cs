namespace LlamaFullstack.EndToEnd.Tests;

/// <summary>A person's own text, from a file to a trained model.</summary>
public class OwnTextTests
{
    private static readonly string[] Tiny =
        ["--vocab_size=300", "--dim=16", "--n_layers=1", "--n_heads=2", "--n_kv_heads=2", "--multiple_of=4", "--max_seq_len=32", "--batch_size=2",
            "--gradient_accumulation_steps=1", "--device=cpu", "--dtype=float32", "--max_iters=2", "--eval_interval=2", "--eval_iters=1"];

    [Fact]
    public void OwnText_ByPathAndByName_TrainsAModel()
    {
        using var folder = new TempFolder();
        folder.Write("poems.txt", System.Text.Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 400).Select(i => $"Rose {i} is red,\r\nviolet {i * 7} is blue.\r\n\r\n"))));
        Finished Run(params string[] args) => Llamafs.Run(args, folder.Path);

        Run("train", "--dataset=poems.txt", "--vocab_size=300").AssertFails(1,
            "no pretokenised shards. Make them: llamafs data train_vocab --vocab_size=300 --dataset=poems.txt, then llamafs data pretokenize --vocab_size=300 --dataset=poems.txt");
        Run("data", "train_vocab", "--dataset=poems.txt", "--vocab_size=300").AssertSucceeds();
        Assert.Contains("400 stories", Run("data", "pretokenize", "--dataset=poems.txt", "--vocab_size=300").AssertSucceeds().Error);
        Run(["train", "--dataset=poems.txt", .. Tiny]).AssertSucceeds();
        Assert.StartsWith("val loss", Run("eval", "out/model.bin", "--dataset=poems").AssertSucceeds().Out);

        File.AppendAllText(folder.File("poems.txt"), "\n\nOne more.");
        Run(["train", "--dataset=poems", .. Tiny]).AssertFails(1, "poems.txt has changed since these tokens were made. Pretokenise again.");
        File.Delete(folder.File("poems.txt"));
        Run("data", "pretokenize", "--dataset=poems", "--vocab_size=300").AssertFails(1, "no stories");
    }
}
