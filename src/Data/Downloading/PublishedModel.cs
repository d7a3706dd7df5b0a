// Models that can be called by their name, and where they are published: those of llama2.c.

namespace LlamaFullstack.Data.Downloading;

/// <summary>A published model with its tokenizer.</summary>
/// <param name="Name">What it is called here.</param>
/// <param name="File">The model file in <see cref="Repository"/>.</param>
/// <param name="TokenizerFile">The tokenizer's file there; null for Llama 2's own, which llama2.c keeps in its sources.</param>
public sealed record PublishedModel(string Name, string File, string? TokenizerFile = null)
{
    private const string Llama2TokenizerSha256 = "50a52ef822ee9e83de5ce9d0be0a025a773d019437f58b5ff9dcafb063ece361";
    private static readonly Uri Llama2Tokenizer = new("https://raw.githubusercontent.com/karpathy/llama2.c/350e04fe35433e6d2941dce5a1f53308f87058eb/tokenizer.bin");

    /// <summary>Where the models are.</summary>
    public static HubRepository Repository { get; } = new("karpathy/tinyllamas");

    /// <summary>All of them.</summary>
    public static IReadOnlyList<PublishedModel> All { get; } =
    [
        new("stories260K", "stories260K/stories260K.bin", "stories260K/tok512.bin"),
        new("stories15M", "stories15M.bin"),
        new("stories42M", "stories42M.bin"),
        new("stories110M", "stories110M.bin"),
    ];

    /// <summary>The model of a name; null where there is none.</summary>
    public static PublishedModel? Find(string name) => All.FirstOrDefault(model => model.Name == name);

    /// <summary>Where the model and its tokenizer are on this machine; null where they were not pulled.</summary>
    public (string Model, string Tokenizer)? FindLocal(HubCache cache)
    {
        var tokenizer = TokenizerFile is null ? Llama2TokenizerPath : cache.Find(Repository, TokenizerFile);
        return cache.Find(Repository, File) is { } model && System.IO.File.Exists(tokenizer) ? (model, tokenizer) : null;
    }

    /// <summary>Brings the model and its tokenizer.</summary>
    /// <param name="cache">Where the model goes.</param>
    /// <param name="progress">Told of bytes, pauses and stages.</param>
    /// <param name="cancellation">Stops at once; the next call goes on from there.</param>
    /// <returns>Their paths.</returns>
    /// <exception cref="IOException">A server cannot be reached or refuses, or the disk is full.</exception>
    /// <exception cref="InvalidDataException">What came is not what was announced.</exception>
    public async Task<(string Model, string Tokenizer)> PullAsync(
        HubCache cache, IProgress<DownloadProgress>? progress = null, CancellationToken cancellation = default)
    {
        var model = await cache.PullAsync(Repository, File, progress: progress, cancellation: cancellation).ConfigureAwait(false);
        if (TokenizerFile is not null)
            return (model, await cache.PullAsync(Repository, TokenizerFile, progress: progress, cancellation: cancellation).ConfigureAwait(false));
        if (!System.IO.File.Exists(Llama2TokenizerPath))
        {
            using var downloader = new FileDownloader(DownloadSettings.FromEnvironment());
            await downloader.DownloadAsync(Llama2Tokenizer, Llama2TokenizerPath, progress, Llama2TokenizerSha256, cancellation).ConfigureAwait(false);
        }
        return (model, Llama2TokenizerPath);
    }

    private static string Llama2TokenizerPath => Path.Combine(HubCache.UserCache, "llamafs", "llama2-tokenizer.bin");
}
