using System.CommandLine;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Samples;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs data sample: the built-in stories.</summary>
internal static class DataSampleCommand
{
    public static Command Create()
    {
        var stories = Options.Create("--num_stories", "How many stories.", SampleDataset.DefaultStories);
        var seed = Options.Create("--seed", "Another seed gives other stories.", 0UL);
        var dataDir = DataCommand.DataDir();
        var command = new Command("sample", "Write the built-in stories: nothing to download.") { stories, seed, dataDir };
        command.SetAction((parsed, cancellation) =>
            Run(new DataFolder(parsed.GetValue(dataDir)!, DataFolder.Sample), parsed.GetValue(stories), parsed.GetValue(seed), cancellation));
        return command;
    }

    private static Task<int> Run(DataFolder folder, int stories, ulong seed, CancellationToken cancellation)
    {
        if (stories < SampleDataset.Shards)
            throw new UsageException($"--num_stories {stories}: must be at least {SampleDataset.Shards}, one for each shard.");
        SampleDataset.Write(folder, stories, seed, cancellation);
        var bytes = folder.StoryShards().Sum(shard => new FileInfo(shard).Length);
        Console.Error.WriteLine($"{folder.Stories}: {stories:N0} stories in {SampleDataset.Shards} shards, {bytes / 1e6:0.0} MB.");
        return Task.FromResult(0);
    }
}
