using LlamaFullstack.Data.Datasets;

namespace LlamaFullstack.Data.Downloading;

/// <summary>TinyStories (Eldan and Li, 2023), the dataset of llama2.c: about 4.9 million stories that GPT-3.5 and GPT-4 wrote.</summary>
public static class TinyStoriesDownload
{
    private const string V2Train = "TinyStoriesV2-GPT4-train.txt";
    private const string V2Validation = "TinyStoriesV2-GPT4-valid.txt";

    private static readonly HubRepository Repository = new("datasets/roneneldan/TinyStories");

    /// <summary>The archive's public address.</summary>
    public static Uri Address => Repository.Address(HubCache.Endpoint, HubCache.Main, "TinyStories_all_data.tar.gz");

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
            await downloader.DownloadAsync(url, archive, progress, cancellation: cancellation).ConfigureAwait(false);
        }
        return (StoryArchive.Unpack(archive, folder.Stories, settings.FreeSpace, progress, cancellation), false);
    }

    /// <summary>Downloads the second version, two files of plain text, 2.2 GB: one to learn from, one to validate with.</summary>
    /// <param name="folder">The place of <see cref="DataFolder.TinyStoriesV2"/>.</param>
    /// <param name="endpoint">Where the hub is; null for <see cref="HubCache.Endpoint"/>.</param>
    /// <param name="settings">How patient to be; null for the defaults and the environment's token.</param>
    /// <param name="progress">Told of bytes and pauses.</param>
    /// <param name="cancellation">Stops at once.</param>
    /// <exception cref="IOException">The server cannot be reached or refuses, or the disk is full.</exception>
    /// <returns>Whether both files were there already.</returns>
    public static async Task<bool> RunV2Async(
        DataFolder folder, Uri? endpoint = null, DownloadSettings? settings = null,
        IProgress<DownloadProgress>? progress = null, CancellationToken cancellation = default)
    {
        using var downloader = new FileDownloader(settings ?? DownloadSettings.FromEnvironment());
        var wasThere = true;
        foreach (var name in new[] { V2Validation, V2Train })
        {
            var path = Path.Combine(folder.Stories, name);
            if (File.Exists(path))
                continue;
            wasThere = false;
            await downloader.DownloadAsync(Repository.Address(endpoint ?? HubCache.Endpoint, HubCache.Main, name), path, progress, cancellation: cancellation).ConfigureAwait(false);
        }
        new DatasetSource(Validation: V2Validation).Or(DatasetSource.Read(folder)).Write(folder);
        return wasThere;
    }
}
