using System.Security.Cryptography;
using LlamaFullstack.Data.Downloading;
using static LlamaFullstack.Data.Tests.Downloading.BadServer;

namespace LlamaFullstack.Data.Tests.Downloading;

public sealed class FileDownloaderTests : IDisposable
{
    private static readonly byte[] Bytes = Noise(300_000, seed: 1);

    private readonly TempFolder _temp = new();
    private readonly List<TimeSpan> _pauses = [];
    private readonly List<DownloadProgress> _reports = [];

    private string Target => _temp.File("file");

    private DownloadSettings Settings => new()
    {
        Pause = (pause, _) =>
        {
            _pauses.Add(pause);
            return Task.CompletedTask;
        },
    };

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task Download_GoodServer_GivesTheFileAndNothingElse()
    {
        using var server = BadServer.ForFile(() => new(Bytes));
        await Download(server);
        AssertComplete();
        Assert.Single(server.Requests);
        Assert.Null(server.Requests.First()["Range"]);
        Assert.Equal(new DownloadProgress("download", Bytes.Length, Bytes.Length), _reports[^1]);
    }

    [Fact]
    public async Task Download_ConnectionsCutAnywhere_GivesTheIdenticalFile()
    {
        for (var seed = 0; seed < 100; seed++)
        {
            var random = new Random(seed);
            var sent = 0L;
            using var server = BadServer.ForFile(() => new(Bytes), () =>
            {
                var cut = random.Next(0, 2) == 0 ? random.Next(0, 3) : random.Next(1, 200_000);
                sent += cut;
                return cut;
            });
            await Download(server, Settings with { MaxFailures = 50 });
            AssertComplete();
            Assert.All(server.Requests.Skip(1), request => Assert.Equal(request.RangeStart is > 0 ? "\"v1\"" : null, request["If-Range"]));
            Assert.True(sent >= Bytes.Length);
            File.Delete(Target);
        }
    }

    [Fact]
    public async Task Download_Cancelled_GoesOnFromThereInTheNextRun()
    {
        using var server = BadServer.ForFile(() => new(Bytes));
        using var cancel = new CancellationTokenSource();
        var stopEarly = new Immediate<DownloadProgress>(report =>
        {
            if (report.Done > 0)
                cancel.Cancel();
        });
        using (var downloader = new FileDownloader(Settings))
            await Assert.ThrowsAnyAsync<OperationCanceledException>(
                () => downloader.DownloadAsync(server.Address(), Target, stopEarly, cancellation: cancel.Token));
        var kept = new FileInfo(Target + ".part").Length;
        Assert.InRange(kept, 1, Bytes.Length - 1);

        await Download(server);
        AssertComplete();
        Assert.Equal((int)kept, server.Requests.Last().RangeStart);
    }

    [Fact]
    public async Task Download_FileChangedMeanwhile_GivesTheNewFile()
    {
        var changed = new RemoteContent(Noise(200_000, seed: 2), "\"v2\"");
        var first = true;
        using var server = BadServer.ForFile(() => first ? new(Bytes) : changed, () =>
        {
            var cut = first ? 100_000 : int.MaxValue;
            first = false;
            return cut;
        });
        await Download(server);
        Assert.Equal(changed.Bytes, File.ReadAllBytes(Target));
        Assert.Equal("\"v1\"", server.Requests.Last()["If-Range"]);
    }

    [Fact]
    public async Task Download_FileChangedAndIfRangeIgnored_BeginsAnew()
    {
        var changed = new RemoteContent(Noise(200_000, seed: 2), "\"v2\"");
        var count = 0;
        using var server = new BadServer((request, stream, _) => ++count switch
        {
            1 => SendFile(request, stream, new(Bytes), cutAfter: 100_000),
            2 => Send(stream, $"206 Partial Content\nETag: \"v2\"\nContent-Range: bytes 100000-199999/200000\nContent-Length: 100000", changed.Bytes[100_000..]),
            _ => SendFile(request, stream, changed),
        });
        await Download(server);
        Assert.Equal(changed.Bytes, File.ReadAllBytes(Target));
        Assert.Contains(_reports, report => report.Note?.StartsWith("the file changed on the server", StringComparison.Ordinal) == true);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("W/\"weak\"")]
    public async Task Download_NoStrongValidator_NeverJoinsTwoAnswers(string? tag)
    {
        var first = true;
        using var server = BadServer.ForFile(() => new(Bytes, tag), () =>
        {
            var cut = first ? 100_000 : int.MaxValue;
            first = false;
            return cut;
        });
        await Download(server);
        AssertComplete();
        Assert.All(server.Requests, request => Assert.Null(request["Range"]));
    }

    [Fact]
    public async Task Download_ServerStalls_TriesAgainFromThere()
    {
        var first = true;
        using var server = new BadServer(async (request, stream, stop) =>
        {
            var stalls = first;
            first = false;
            await SendFile(request, stream, new(Bytes), stalls ? 50_000 : int.MaxValue);
            if (stalls)
                await Task.Delay(Timeout.Infinite, stop);
        });
        await Download(server, Settings with { StallTimeout = TimeSpan.FromSeconds(2) }); // a busy machine may itself stand still for some tenths
        AssertComplete();
        Assert.Equal(50_000, server.Requests.Last().RangeStart);
        Assert.Contains(_reports, report => report.Note == "nothing came for 2 s; trying again in 1 s");
    }

    [Fact]
    public async Task Download_ServerThatAnswersLate_SaysThatItWaits()
    {
        var told = new TaskCompletionSource();
        using var server = new BadServer(async (request, stream, _) =>
        {
            await told.Task; // forever, if nothing were said
            await SendFile(request, stream, new(Bytes));
        });
        var notes = new List<string?>();
        using (var downloader = new FileDownloader(Settings with { NoticeableWait = TimeSpan.FromMilliseconds(1) }))
            await downloader.DownloadAsync(server.Address(), Target, new Immediate<DownloadProgress>(report =>
            {
                notes.Add(report.Note);
                told.TrySetResult();
            }), cancellation: TestContext.Current.CancellationToken);
        Assert.Equal("waiting for an answer of 127.0.0.1, at most 30 s", notes[0]);
        Assert.Equal(Bytes, File.ReadAllBytes(Target));
    }

    [Fact]
    public async Task Download_BusyServer_WaitsAsLongAsItAsks()
    {
        var count = 0;
        using var server = new BadServer((request, stream, _) => ++count switch
        {
            1 => Send(stream, "429 Too Many Requests\nRetry-After: 7\nContent-Length: 0"),
            2 => Send(stream, "503 Service Unavailable\nContent-Length: 0"),
            3 => Send(stream, "500 Internal Server Error\nContent-Length: 0"),
            4 => Send(stream, "429 Too Many Requests\nRetry-After: 86400\nContent-Length: 0"),
            _ => SendFile(request, stream, new(Bytes)),
        });
        await Download(server);
        AssertComplete();
        Assert.Equal([7, 2, 4, 120], _pauses.Select(pause => pause.TotalSeconds));
        Assert.Equal("the server answered 429 Too Many Requests; trying again in 7 s", _reports.First(report => report.Note is not null).Note);
    }

    [Fact]
    public async Task Download_ServerNeverRecovers_GivesUpAndKeepsThePart()
    {
        var first = true;
        using var server = new BadServer((request, stream, _) =>
        {
            var answer = first ? SendFile(request, stream, new(Bytes), 1000) : Send(stream, "502 Bad Gateway\nContent-Length: 0");
            first = false;
            return answer;
        });
        var error = await Assert.ThrowsAsync<IOException>(() => Download(server));
        Assert.Equal(
            $"{server.Address()}: the server answered 502 Bad Gateway. Gave up after 6 tries; 1,000 bytes are kept in {Target}.part. Run the command again to go on.",
            error.Message);
        Assert.Equal([1, 1, 2, 4, 8, 16], _pauses.Select(pause => pause.TotalSeconds));
        Assert.Equal(Bytes[..1000], File.ReadAllBytes(Target + ".part"));
    }

    [Fact]
    public async Task Download_NobodyThere_GivesUp()
    {
        var address = new Uri("http://127.0.0.1:9/file");
        using var downloader = new FileDownloader(Settings with { MaxFailures = 2 });
        var error = await Assert.ThrowsAsync<IOException>(() => downloader.DownloadAsync(address, Target));
        Assert.Equal("http://127.0.0.1:9/file: Connection refused (127.0.0.1:9). Gave up after 2 tries. Check the network, and run the command again.", error.Message);
        Assert.Empty(Directory.GetFiles(_temp.Path));
    }

    [Theory]
    [InlineData("404 Not Found", "the server answered 404 Not Found. Is the address right?")]
    [InlineData("401 Unauthorized", "the server answered 401 Unauthorized. If the file needs an account, put its token into HF_TOKEN.")]
    public async Task Download_Refused_SaysWhyAtOnce(string status, string message)
    {
        using var server = new BadServer((_, stream, _) => Send(stream, status + "\nContent-Length: 0"));
        var error = await Assert.ThrowsAsync<IOException>(() => Download(server));
        Assert.Equal($"{server.Address()}: {message}", error.Message);
        Assert.Single(server.Requests);
        Assert.Empty(Directory.GetFiles(_temp.Path));
    }

    [Theory]
    [InlineData(400_000, "")]                           // more than there is: the connection ends early, every time
    [InlineData(299_999, "X-Linked-Size: 300000")]      // less than the redirect told
    [InlineData(300_000, "X-Linked-Size: 299999")]      // more than the redirect told
    public async Task Download_LengthIsALie_FailsInsteadOfAWrongFile(int length, string linkedSize)
    {
        using var server = new BadServer((request, stream, _) => request.Path == "/file"
            ? Send(stream, $"302 Found\nLocation: /storage\nContent-Length: 0\n{linkedSize}")
            : Send(stream, $"200 OK\nContent-Length: {length}", Bytes));
        await Assert.ThrowsAsync<IOException>(() => Download(server, Settings with { MaxFailures = 3 }));
        Assert.False(File.Exists(Target));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Download_ChecksumGivenByRedirect_IsChecked(bool right)
    {
        var expected = Convert.ToHexStringLower(SHA256.HashData(right ? Bytes : Bytes[1..]));
        using var server = new BadServer((request, stream, _) => request.Path == "/file"
            ? Send(stream, $"302 Found\nLocation: /storage?x=1\nX-Linked-Size: {Bytes.Length}\nX-Linked-ETag: \"{expected}\"\nContent-Length: 0")
            : SendFile(request, stream, new(Bytes, ETag: null)));
        if (right)
        {
            await Download(server);
            AssertComplete();
            Assert.Equal("check", _reports[^1].Stage);
            return;
        }
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => Download(server));
        Assert.Equal(
            $"{server.Address()}: SHA-256 is {Convert.ToHexStringLower(SHA256.HashData(Bytes))}, expected {expected}. The download was damaged and is deleted. Run the command again.",
            error.Message);
        Assert.Empty(Directory.GetFiles(_temp.Path));
    }

    [Fact]
    public async Task Download_RedirectToAnotherHost_DoesNotTakeTheTokenAlong()
    {
        BadServer? server = null;
        server = new BadServer((request, stream, _) => request.Path == "/file"
            ? Send(stream, $"307 Temporary Redirect\nLocation: {server!.Address("/elsewhere", "localhost")}\nContent-Length: 0")
            : SendFile(request, stream, new(Bytes)));
        using (server)
        {
            await Download(server, Settings with { Token = "secret", TokenHost = "127.0.0.1" });
            AssertComplete();
            Assert.Equal(["Bearer secret", null], server.Requests.Select(request => request["Authorization"]));
        }
    }

    [Fact]
    public async Task Download_TokenOfAnotherHost_IsNotSent()
    {
        using var server = BadServer.ForFile(() => new(Bytes));
        await Download(server, Settings with { Token = "secret" });
        Assert.Null(Assert.Single(server.Requests)["Authorization"]);
    }

    [Theory]
    [InlineData("/file", "more than 10 redirects.")]
    [InlineData("file:///etc/passwd", "the server redirects to file:///etc/passwd, which is not safe to follow.")]
    public async Task Download_BadRedirect_Throws(string location, string message)
    {
        using var server = new BadServer((_, stream, _) => Send(stream, $"302 Found\nLocation: {location}\nContent-Length: 0"));
        var error = await Assert.ThrowsAsync<IOException>(() => Download(server));
        Assert.Equal($"{server.Address()}: {message}", error.Message);
    }

    [Fact]
    public async Task Download_DiskTooFull_SaysSoBeforeItBegins()
    {
        using var server = BadServer.ForFile(() => new(Bytes));
        var error = await Assert.ThrowsAsync<IOException>(() => Download(server, Settings with { FreeSpace = _ => 299_999 }));
        Assert.Equal(
            $"{_temp.Path}: 299,999 bytes are free on this disk, but the download needs 300,000 more. Make room, or choose another folder.", error.Message);
        Assert.Empty(Directory.GetFiles(_temp.Path));
    }

    [Fact]
    public async Task Download_PartThatIsWholeWithoutKnownLength_IsFinishedByA416()
    {
        // Without Content-Length only the next answer, which has no byte left, tells that the part was whole.
        var count = 0;
        using var server = new BadServer((request, stream, _) => ++count switch
        {
            1 => Send(stream, $"200 OK\nETag: \"v1\"\nTransfer-Encoding: chunked", [.. "493E0\r\n"u8, .. Bytes, .. "\r\n"u8]),
            _ => Send(stream, $"416 Range Not Satisfiable\nContent-Range: bytes */{Bytes.Length}\nContent-Length: 0"),
        });
        await Download(server);
        AssertComplete();
        Assert.Equal(Bytes.Length, server.Requests.Last().RangeStart);
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("""{"url":"http://elsewhere/file","validator":"\u0022v1\u0022","length":300000,"sha256":null}""")]
    public async Task Download_NoteThatDoesNotFit_BeginsAnew(string note)
    {
        _temp.Write("file.part", Noise(1000, seed: 3));
        _temp.Write("file.part.json", System.Text.Encoding.UTF8.GetBytes(note));
        using var server = BadServer.ForFile(() => new(Bytes));
        await Download(server);
        AssertComplete();
        Assert.Null(server.Requests.First()["Range"]);
    }

    [Fact]
    public async Task Download_AlreadyRunning_Throws()
    {
        using var server = BadServer.ForFile(() => new(Bytes));
        using var other = new FileStream(Target + ".part", FileMode.Create, FileAccess.ReadWrite, FileShare.None);
        var error = await Assert.ThrowsAsync<IOException>(() => Download(server));
        Assert.StartsWith($"{Target}.part: cannot be opened. Is it being downloaded already?", error.Message, StringComparison.Ordinal);
    }

    private async Task Download(BadServer server, DownloadSettings? settings = null)
    {
        using var downloader = new FileDownloader(settings ?? Settings);
        await downloader.DownloadAsync(server.Address(), Target, new Immediate<DownloadProgress>(_reports.Add));
    }

    private void AssertComplete()
    {
        Assert.Equal(Bytes, File.ReadAllBytes(Target));
        Assert.Equal([Target], Directory.GetFiles(_temp.Path));
    }

    private static byte[] Noise(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
