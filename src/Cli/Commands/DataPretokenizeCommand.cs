using System.CommandLine;
using System.Diagnostics;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Tokens;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs data pretokenize: stories → tokens.</summary>
internal static class DataPretokenizeCommand
{
    public static Command Create()
    {
        var vocabSize = Options.Create("--vocab_size", "Size of the vocabulary that was trained on the stories; 0 for Llama 2's own.", 0);
        var dataset = DataCommand.Dataset();
        var dataDir = DataCommand.DataDir();
        var command = new Command("pretokenize", "Turn all stories into tokens, once, for training.") { vocabSize, dataset, dataDir };
        command.SetAction((parsed, cancellation) =>
            Run(new DataFolder(parsed.GetValue(dataDir)!, parsed.GetValue(dataset)!), parsed.GetValue(vocabSize), cancellation));
        return command;
    }

    private static async Task<int> Run(DataFolder folder, int vocabSize, CancellationToken cancellation)
    {
        if (vocabSize < 0)
            throw new UsageException($"--vocab_size {vocabSize}: must be 0 (Llama 2's own) or the size of a trained vocabulary.");
        using var progress = new PretokenizeReporter();
        var made = await Pretokenizer.RunAsync(folder, vocabSize, progress, cancellation);
        progress.Dispose();
        Console.Error.WriteLine(
            $"{folder.Tokens(vocabSize)}: {made.Stories:N0} stories in {made.Shards.Count:N0} shards, {made.Tokens:N0} tokens, "
            + $"{(double)made.Tokens / Math.Max(1, made.Stories):0} a story.");
        return 0;
    }

    private sealed class PretokenizeReporter : IProgress<PretokenizeProgress>, IDisposable
    {
        private readonly Stopwatch _clock = Stopwatch.StartNew();
        private readonly ProgressBar _bar = new("pretokenize");

        public void Report(PretokenizeProgress value)
        {
            var rate = value.BytesDone / 1e6 / _clock.Elapsed.TotalSeconds;
            _bar.Report(value.BytesDone, value.Bytes, $"{value.ShardsDone}/{value.Shards} shards, {rate:0} MB/s");
        }

        public void Dispose() => _bar.Dispose();
    }
}
