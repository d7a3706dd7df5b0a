namespace LlamaFullstack.Data.Downloading;

/// <summary>TinyStories (Eldan and Li, 2023), the dataset of llama2.c: about 4.9 million stories that GPT-3.5 and GPT-4 wrote.</summary>
public static class TinyStoriesDownload
{
    /// <summary>The archive's public address.</summary>
    public static readonly Uri Address = new("https://huggingface.co/datasets/roneneldan/TinyStories/resolve/main/TinyStories_all_data.tar.gz");

    /// <summary>Downloads and unpacks what is not there yet. Stopped at any point, the next call goes on from there.</summary>
    /// <param name="folder">The dataset's place. The archive goes to its root, as in llama2.c, and may be deleted afterwards.</param>
    /// <param name="url">The archive's address; null for the public one.</param>
    /// <param name="settings">How patient to be; null for the defaults and the environment's token.</param>
    /// <param name="progress">Told of bytes, pauses and stages.</param>
    /// <param name="cancellation">Stops at once.</param>
    /// <returns>The number of shards; whether anything was done for them.</returns>
    /// <exception cref="IOException">The server cannot be reached or refuses, or the disk is full.</exception>
    /// <exception cref="InvalidDataException">The archive is damaged or hostile.</exception>
    public static async Task<(int Shards, bool WasThere)> RunAsync(
        DataFolder folder, Uri? url = null, DownloadSettings? settings = null,
        IProgress<DownloadProgress>? progress = null, CancellationToken cancellation = default)
    {
        settings ??= DownloadSettings.FromEnvironment();
        url ??= Address;
        var archive = Path.Combine(folder.Root, "TinyStories_all_data.tar.gz");
        if (!File.Exists(archive))
        {
            // Without an archive, whole or in part, the shards are somebody's own copy: unpacking keeps the archive.
            if (folder.StoryShards() is { Count: > 0 } shards && !File.Exists(PartialFile.NameFor(archive)))
                return (shards.Count, true);
            using var downloader = new FileDownloader(settings);
            await downloader.DownloadAsync(url, archive, progress, cancellation).ConfigureAwait(false);
        }
        return (StoryArchive.Unpack(archive, folder.Stories, settings.FreeSpace, progress, cancellation), false);
    }
}
