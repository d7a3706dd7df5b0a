using System.Security.Cryptography;
using LlamaFullstack.Data.Datasets;
using LlamaFullstack.Data.Downloading;
using static LlamaFullstack.Data.Tests.Downloading.BadServer;

namespace LlamaFullstack.Data.Tests.Downloading;

/// <summary>Pulls from a hub on this machine that answers as Hugging Face's does: a redirect with the facts, and a storage behind it.</summary>
public sealed class HubCacheTests : IDisposable
{
    private const string Commit = "0123456789abcdef0123456789abcdef01234567";
    private static readonly HubRepository Repository = new("owner/name");
    private static readonly DownloadSettings Settings = new() { Pause = (_, _) => Task.CompletedTask };

    private readonly TempFolder _temp = new();
    private readonly HubCache _cache;

    public HubCacheTests() => _cache = new HubCache(_temp.File("hub"));

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task Pull_LargeFile_LiesWhereTheOtherToolsLookForIt()
    {
        var content = Content(300_000);
        using var hub = Hub(() => content);
        Assert.Null(_cache.Find(Repository, "sub/model.bin"));
        var path = await Pull(hub, "sub/model.bin");

        var folder = Path.Combine(_cache.Root, "models--owner--name");
        Assert.Equal(Path.Combine(folder, "snapshots", Commit, "sub", "model.bin"), path);
        Assert.Equal(content, File.ReadAllBytes(path));
        Assert.Equal(Commit, File.ReadAllText(Path.Combine(folder, "refs", "main")));
        Assert.Equal([Path.Combine(folder, "blobs", Hash(content))], Directory.GetFiles(Path.Combine(folder, "blobs")));
        if (!OperatingSystem.IsWindows())
            Assert.Equal($"../../../blobs/{Hash(content)}", new FileInfo(path).LinkTarget);
        Assert.Equal(path, _cache.Find(Repository, "sub/model.bin"));
        Assert.Equal("/owner/name/resolve/main/sub/model.bin", hub.Requests.First().Path);
    }

    [Fact]
    public async Task Pull_Again_OnlyAsksUnlessTheFileChanged()
    {
        var content = Content(1000);
        using var hub = Hub(() => content);
        var path = await Pull(hub, "model.bin");
        var count = hub.Requests.Count;
        Assert.Equal(path, await Pull(hub, "model.bin"));
        Assert.Equal(1, hub.Requests.Count - count);

        content = Content(2000);
        using var later = Hub(() => content, commit: new string('b', 40));
        var changed = await Pull(later, "model.bin");
        Assert.Equal((1000, 2000), (File.ReadAllBytes(path).Length, File.ReadAllBytes(changed).Length));
        Assert.Equal(changed, _cache.Find(Repository, "model.bin"));
        Assert.Equal(path, _cache.Find(Repository, "model.bin", Commit));
    }

    [Fact]
    public async Task Pull_OfflineWithTheFileInTheCache_TakesItAtOnceAndSaysSo()
    {
        var content = Content(1000);
        string path;
        using (var hub = Hub(() => content))
            path = await Pull(hub, "model.bin");
        var notes = new List<string?>();
        var offline = Settings with { Pause = (_, _) => throw new InvalidOperationException("waited for another try") };
        var closed = new Uri("http://127.0.0.1:1/");
        Assert.Equal(path, await _cache.PullAsync(Repository, "model.bin", settings: offline, endpoint: closed, progress: new Immediate<DownloadProgress>(at => notes.Add(at.Note))));
        Assert.EndsWith("Taken as it is in the cache.", Assert.Single(notes));
        await Assert.ThrowsAsync<IOException>(() => _cache.PullAsync(Repository, "other.bin", settings: Settings, endpoint: closed));
    }

    [Fact]
    public async Task Pull_SmallFileWithoutStorage_TakesGitsTag()
    {
        const string Tag = "b6f25a2b7a3c0d0e2b1a9c8d7e6f5a4b3c2d1e0f";
        using var hub = new BadServer((request, stream, _) => Send(stream, $"200 OK\nX-Repo-Commit: {Commit}\nETag: W/\"{Tag}\"\nContent-Length: 2", request.IsHead ? [] : "{}"u8.ToArray()));
        Assert.Equal("{}", File.ReadAllText(await Pull(hub, "config.json")));
        Assert.True(File.Exists(Path.Combine(_cache.Root, "models--owner--name", "blobs", Tag)));
    }

    [Fact]
    public async Task Pull_DatasetWithToken_SendsItToTheHubAlone()
    {
        var content = Content(1000);
        using var hub = Hub(() => content);
        var path = await _cache.PullAsync(new("datasets/owner/name"), "a.parquet", settings: Settings with { Token = "secret", TokenHost = "127.0.0.1" }, endpoint: hub.Address(""));
        Assert.Contains("datasets--owner--name", path, StringComparison.Ordinal);
        Assert.Equal("/datasets/owner/name/resolve/main/a.parquet", hub.Requests.First().Path);
        Assert.All(hub.Requests, request => Assert.Equal(request.Path == "/storage" ? null : "Bearer secret", request["Authorization"]));
        Assert.Contains(hub.Requests, request => request.Path == "/storage");
    }

    [Fact]
    public async Task Pull_CutAnywhereAndBusy_GivesTheIdenticalFile()
    {
        var content = Content(300_000);
        var random = new Random(5);
        using var hub = Hub(() => content, cutAfter: () => random.Next(1, 60_000), busy: () => random.Next(0, 3) == 0);
        Assert.Equal(content, File.ReadAllBytes(await Pull(hub, "model.bin", Settings with { MaxFailures = 50 })));
    }

    [Theory]
    [InlineData("../../../../evil", Commit, "does not say which version")]
    [InlineData("a/b", Commit, "does not say which version")]
    [InlineData("", Commit, "does not say which version")]
    [InlineData("abc", "../../../evil", "does not say which version")]
    [InlineData("abc", "", "does not say which version")]
    public async Task Pull_HostileFacts_TouchNothing(string tag, string commit, string message)
    {
        using var hub = new BadServer((_, stream, _) => Send(stream, $"200 OK\nX-Repo-Commit: {commit}\nX-Linked-ETag: \"{tag}\"\nContent-Length: 0"));
        var error = await Assert.ThrowsAsync<IOException>(() => Pull(hub, "model.bin"));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_cache.Root));
    }

    [Fact]
    public async Task Pull_WrongChecksum_LeavesNothing()
    {
        var content = Content(1000);
        using var hub = Hub(() => content, tag: new string('a', 64));
        await Assert.ThrowsAsync<InvalidDataException>(() => Pull(hub, "model.bin"));
        Assert.Empty(Directory.GetFiles(_cache.Root, "*", SearchOption.AllDirectories));
    }

    [Theory]
    [InlineData("../name", "a")]
    [InlineData("a/b/c", "a")]
    [InlineData("a--b/c", "a")]
    [InlineData("owner/name", "../a")]
    [InlineData("owner/name", "/a")]
    [InlineData("owner/name", "a\\b")]
    [InlineData("owner/name", "")]
    public async Task Pull_NamesThatLeadElsewhere_AreRefused(string repository, string file) =>
        await Assert.ThrowsAsync<ArgumentException>(() => _cache.PullAsync(new(repository), file, settings: Settings));

    [Theory]
    [InlineData("404 Not Found", "answered 404 Not Found. Is the address right?")]
    [InlineData("401 Unauthorized", "put its token into HF_TOKEN.")]
    [InlineData("500 Internal Server Error", "Gave up after 6 tries. Check the network, and run the command again.")]
    public async Task Pull_Refused_SaysWhy(string status, string message)
    {
        using var hub = new BadServer((_, stream, _) => Send(stream, $"{status}\nContent-Length: 0"));
        var error = await Assert.ThrowsAsync<IOException>(() => Pull(hub, "model.bin"));
        Assert.EndsWith(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task DownloadV2_TwoTexts_AreADatasetThatValidatesWithOne()
    {
        var folder = new DataFolder(_temp.File("data"), DataFolder.TinyStoriesV2);
        using var hub = Hub(() => "One.\n\nStill one.\n<|endoftext|>\nTwo.\n<|endoftext|>\n"u8.ToArray());
        Assert.False(await TinyStoriesDownload.RunV2Async(folder, hub.Address(""), Settings));
        Assert.True(await TinyStoriesDownload.RunV2Async(folder, hub.Address(""), Settings));
        var dataset = FileDataset.Open(folder);
        Assert.Equal(["TinyStoriesV2-GPT4-train.txt", "TinyStoriesV2-GPT4-valid.txt"], dataset.Files.Select(Path.GetFileName));
        Assert.Equal([dataset.Files[1]], dataset.Validation.FilesOf(dataset.Files));
        using var reader = dataset.Open(dataset.Files[0]);
        Assert.True(reader.Read());
        Assert.Equal("One.\n\nStill one."u8, reader.Story);
    }

    private Task<string> Pull(BadServer hub, string file, DownloadSettings? settings = null) =>
        _cache.PullAsync(Repository, file, settings: settings ?? Settings, endpoint: hub.Address(""));

    private static BadServer Hub(Func<byte[]> content, string commit = Commit, string? tag = null, Func<int>? cutAfter = null, Func<bool>? busy = null)
    {
        BadServer? hub = null;
        hub = new BadServer((request, stream, _) =>
        {
            if (busy?.Invoke() == true)
                return Send(stream, "429 Too Many Requests\nContent-Length: 0");
            var bytes = content();
            return request.Path == "/storage"
                ? SendFile(request, stream, new(bytes), cutAfter?.Invoke() ?? int.MaxValue)
                : Send(stream, $"302 Found\nLocation: {hub!.Address("/storage", "localhost")}\nX-Repo-Commit: {commit}\nX-Linked-Size: {bytes.Length}\nX-Linked-ETag: \"{tag ?? Hash(bytes)}\"\nContent-Length: 0");
        });
        return hub;
    }

    private static string Hash(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    private static byte[] Content(int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }
}
