// The cache that all Hugging Face tools share, so that what one of them has downloaded none has to download again:
//   models--OWNER--NAME/refs/main                  the commit that the branch stood at
//   models--OWNER--NAME/blobs/ETAG                 the files, each under the server's tag for its content
//   models--OWNER--NAME/snapshots/COMMIT/FILE      a link to the blob
// https://huggingface.co/docs/hub/local-cache describes it.

using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Data.Downloading;

/// <summary>Files of Hugging Face's hub, kept in the cache of its own tools.</summary>
/// <param name="root">The cache's folder.</param>
public sealed class HubCache(string root)
{
    /// <summary>The branch where nothing else is said.</summary>
    public const string Main = "main";

    private const string HubHost = "https://huggingface.co";

    /// <summary>The hub's address: the environment variable HF_ENDPOINT, else huggingface.co.</summary>
    /// <exception cref="ArgumentException">HF_ENDPOINT is not an address.</exception>
    public static Uri Endpoint =>
        Variable("HF_ENDPOINT") is not { } text ? new Uri(HubHost)
        : Uri.TryCreate(text, UriKind.Absolute, out var address) && address.Scheme is "https" or "http" ? address
        : throw new ArgumentException($"HF_ENDPOINT={text}: expected an address that begins with https:// or http://.");

    /// <summary>Hugging Face's own folder: HF_HOME, else huggingface in XDG_CACHE_HOME or ~/.cache.</summary>
    public static string Home => Variable("HF_HOME") ?? Path.Combine(UserCache, "huggingface");

    /// <summary>The user's folder for caches: XDG_CACHE_HOME, else ~/.cache.</summary>
    internal static string UserCache =>
        Variable("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");

    /// <summary>The cache where the other tools have it: HF_HUB_CACHE, else hub in <see cref="Home"/>.</summary>
    public static HubCache FromEnvironment() => new(Variable("HF_HUB_CACHE") ?? Path.Combine(Home, "hub"));

    /// <summary>The cache's folder.</summary>
    public string Root => root;

    /// <summary>The path of a file that is in the cache; null where it is not. Asks no server.</summary>
    public string? Find(HubRepository repository, string file, string revision = Main)
    {
        var folder = Path.Combine(root, repository.FolderName);
        var reference = Path.Combine(folder, "refs", revision);
        var commit = File.Exists(reference) ? File.ReadAllText(reference).Trim() : revision;
        var path = Path.Combine(folder, "snapshots", commit, Path.Combine(file.Split('/')));
        return File.Exists(path) ? path : null;
    }

    /// <summary>Brings a file, unless the cache has the server's present version of it, or has one and the server cannot be asked.</summary>
    /// <param name="repository">Where it is.</param>
    /// <param name="file">Its path there, such as "stories260K/tok512.bin".</param>
    /// <param name="revision">A branch, a tag or a commit.</param>
    /// <param name="settings">How patient to be; null for the defaults and the environment's token.</param>
    /// <param name="endpoint">The hub's address; null for <see cref="Endpoint"/>.</param>
    /// <param name="progress">Told of bytes, pauses and stages.</param>
    /// <param name="cancellation">Stops at once; the next call goes on from there.</param>
    /// <returns>The file's path in the cache.</returns>
    /// <exception cref="ArgumentException">The name is not one of a file in a repository.</exception>
    /// <exception cref="IOException">The server cannot be reached or refuses and the cache has no version, it is no such hub, or the disk is full.</exception>
    /// <exception cref="InvalidDataException">All bytes came, but they are not those that the server announced.</exception>
    public async Task<string> PullAsync(
        HubRepository repository, string file, string revision = Main, DownloadSettings? settings = null, Uri? endpoint = null,
        IProgress<DownloadProgress>? progress = null, CancellationToken cancellation = default)
    {
        CheckName(file);
        CheckName(revision);
        endpoint ??= Endpoint;
        settings ??= DownloadSettings.FromEnvironment();
        using var downloader = new FileDownloader(settings);
        var asked = repository.Address(endpoint, revision, file);
        var known = Find(repository, file, revision);
        LinkedFile remote;
        try
        {
            remote = await downloader.AskAsync(asked, tries: known is null ? settings.MaxFailures : 1, progress, cancellation).ConfigureAwait(false);
        }
        catch (IOException e) when (known is not null)
        {
            progress?.Report(new DownloadProgress("download", 0, 0) { Note = $"{e.Message} Taken as it is in the cache." });
            return known;
        }
        // Both become names of files here.
        if (remote.Commit is not { Length: 40 } commit || !commit.All(char.IsAsciiHexDigit)
            || remote.Tag is not { Length: > 0 and <= 128 } tag || !tag.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_'))
            throw new IOException($"{asked}: the server does not say which version of the file it has. Is it a Hugging Face hub?");

        var folder = Path.Combine(root, repository.FolderName);
        var blob = Path.Combine(folder, "blobs", tag);
        var snapshot = Path.Combine(folder, "snapshots", commit, Path.Combine(file.Split('/')));
        if (!File.Exists(blob) && !File.Exists(snapshot))
            await downloader.DownloadAsync(repository.Address(endpoint, commit, file), blob, progress, cancellation: cancellation).ConfigureAwait(false);
        if (!File.Exists(snapshot))
            Link(snapshot, blob);
        if (revision != commit)
            AtomicFile.WriteAllText(Path.Combine(folder, "refs", Path.Combine(revision.Split('/'))), commit);
        return snapshot;
    }

    /// <summary>Where links are not allowed (Windows without developer mode), the file itself moves, as the other tools do it.</summary>
    private static void Link(string path, string blob)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.Delete(path);      // a link to a blob that is gone
        try
        {
            File.CreateSymbolicLink(path, Path.GetRelativePath(Path.GetDirectoryName(path)!, blob));
        }
        catch (Exception e) when (OperatingSystem.IsWindows() && e is IOException or UnauthorizedAccessException)
        {
            File.Move(blob, path);
        }
    }

    private static void CheckName(string name)
    {
        if (name.Length == 0 || name.Any(letter => letter is '\\' or ':' || char.IsControl(letter)) || name.Split('/').Any(part => part is "" or "." or ".."))
            throw new ArgumentException($"{name}: expected the name of a file in a repository, such as stories15M.bin.");
    }

    internal static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
}
