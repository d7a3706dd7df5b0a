using System.CommandLine;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Downloading;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs data download: TinyStories.</summary>
internal static class DataDownloadCommand
{
    public static Command Create()
    {
        var url = Options.CreateWithoutDefault<string?>("--url", "Another address of tinystories' archive, a .tar.gz of story shards.");
        var dataset = Options.Create("--dataset", "tinystories (1.6 GB, as llama2.c) or tinystories-v2 (2.2 GB of plain text, all of it by GPT-4).", DataFolder.TinyStories);
        var dataDir = DataCommand.DataDir();
        var command = new Command("download", "Download TinyStories. Stopped, it goes on where it was.") { dataset, url, dataDir };
        command.SetAction((parsed, cancellation) =>
            Run(new DataFolder(parsed.GetValue(dataDir)!, parsed.GetValue(dataset)!), parsed.GetValue(url), cancellation));
        return command;
    }

    private static async Task<int> Run(DataFolder folder, string? url, CancellationToken cancellation)
    {
        if (folder.Dataset is not (DataFolder.TinyStories or DataFolder.TinyStoriesV2))
            throw new UsageException($"--dataset {folder.Dataset}: expected {DataFolder.TinyStories} or {DataFolder.TinyStoriesV2}. Other files: llamafs pull.");
        Uri? address = null;
        if (url is not null && (!Uri.TryCreate(url, UriKind.Absolute, out address) || address.Scheme is not ("http" or "https")))
            throw new UsageException($"--url {url}: expected an address that begins with https:// or http://.");
        using var progress = new DownloadReporter();
        if (folder.Dataset == DataFolder.TinyStoriesV2)
        {
            if (address is not null)
                throw new UsageException($"--url {url}: only {DataFolder.TinyStories} is an archive that can lie elsewhere.");
            var wereThere = await TinyStoriesDownload.RunV2Async(folder, progress: progress, cancellation: cancellation);
            progress.Dispose();
            Console.Error.WriteLine($"{folder.Stories}: both files{(wereThere ? " were there already" : "")}.");
            return 0;
        }
        var (shards, wasThere) = await TinyStoriesDownload.RunAsync(folder, address, progress: progress, cancellation: cancellation);
        progress.Dispose();
        Console.Error.WriteLine($"{folder.Stories}: {shards} shards{(wasThere ? " were there already" : "")}.");
        return 0;
    }
}
