using System.CommandLine;
using System.Diagnostics;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Downloading;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs data download: TinyStories.</summary>
internal static class DataDownloadCommand
{
    public static Command Create()
    {
        var url = Options.Create("--url", "Address of the archive, a .tar.gz of story shards.", TinyStoriesDownload.Address.AbsoluteUri);
        var dataDir = DataCommand.DataDir();
        var command = new Command("download", "Download TinyStories (1.6 GB). Stopped, it goes on where it was.") { url, dataDir };
        command.SetAction((parsed, cancellation) =>
            Run(new DataFolder(parsed.GetValue(dataDir)!, DataFolder.TinyStories), parsed.GetValue(url)!, cancellation));
        return command;
    }

    private static async Task<int> Run(DataFolder folder, string url, CancellationToken cancellation)
    {
        if (!Uri.TryCreate(url, UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https"))
            throw new UsageException($"--url {url}: expected an address that begins with https:// or http://.");
        using var progress = new DownloadReporter();
        var (shards, wasThere) = await TinyStoriesDownload.RunAsync(folder, address, progress: progress, cancellation: cancellation);
        progress.Dispose();
        Console.Error.WriteLine($"{folder.Stories}: {shards} shards{(wasThere ? " were there already" : "")}.");
        return 0;
    }

    private sealed class DownloadReporter : IProgress<DownloadProgress>, IDisposable
    {
        private readonly Stopwatch _clock = new();
        private ProgressBar? _bar;
        private string _stage = "";
        private long _first;

        public void Report(DownloadProgress value)
        {
            if (value.Note is not null)
            {
                Dispose();
                Console.Error.WriteLine(value.Note);
                _stage = "";
                return;
            }
            if (value.Stage != _stage)
                Begin(value);
            var rate = (value.Done - _first) / 1e6 / Math.Max(1e-3, _clock.Elapsed.TotalSeconds);
            _bar!.Report(value.Done, value.Total, $"{value.Done / 1e6:0.0} of {value.Total / 1e6:0.0} MB, {rate:0.0} MB/s");
        }

        public void Dispose() => _bar?.Dispose();

        /// <summary>A new bar, and a new rate: what was there already took no time.</summary>
        private void Begin(DownloadProgress value)
        {
            Dispose();
            (_stage, _first) = (value.Stage, value.Done);
            _clock.Restart();
            _bar = new ProgressBar(value.Stage);
        }
    }
}
