using System.CommandLine;
using System.Diagnostics;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Datasets;
using LlamaFullstack.Data.Tokens;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs data pretokenize: stories → tokens.</summary>
internal static class DataPretokenizeCommand
{
    public static Command Create()
    {
        var vocabSize = Options.Create("--vocab_size", "Size of the vocabulary that was trained on the stories; 0 for Llama 2's own.", 0).Where(size => size >= 0, "0 (Llama 2's own) or the size of a trained vocabulary");
        var source = new DatasetOptions();
        var command = new Command("pretokenize", "Turn all stories into tokens, once, for training.") { vocabSize };
        source.AddTo(command);
        command.SetAction((parsed, cancellation) =>
        {
            var (dataset, folder) = source.Find(parsed);
            return Run(dataset, folder, parsed.GetValue(vocabSize), cancellation);
        });
        return command;
    }

    private static async Task<int> Run(FileDataset dataset, DataFolder folder, int vocabSize, CancellationToken cancellation)
    {
        TokenManifest made;
        using (var bar = new ProgressBar("pretokenize"))
        {
            var clock = Stopwatch.StartNew();
            var progress = new Reporter<PretokenizeProgress>(at => bar.Report(
                at.BytesDone, at.Bytes, $"{at.ShardsDone}/{at.Shards} shards, {(at.BytesDone - at.BytesSkipped) / 1e6 / clock.Elapsed.TotalSeconds:0} MB/s"));
            made = await Pretokenizer.RunAsync(dataset, folder, vocabSize, progress, cancellation);
        }
        dataset.Remember();
        Console.Error.WriteLine(
            $"{folder.Tokens(vocabSize)}: {made.Stories:N0} stories in {made.Shards.Count:N0} shards, {made.Tokens:N0} tokens, "
            + $"{(double)made.Tokens / Math.Max(1, made.Stories):0} a story; "
            + $"{made.Shards.Where(shard => shard.Split == TokenShardEntry.Val).Sum(shard => shard.Stories):N0} stories validate.");
        return 0;
    }
}
