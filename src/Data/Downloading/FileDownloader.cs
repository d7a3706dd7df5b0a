// Brings one file over an unreliable network. Knows HTTP and nothing of what the file is for.

using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;

namespace LlamaFullstack.Data.Downloading;

/// <summary>Downloads files: continued where a connection or an earlier run broke off, tried again, and checked.</summary>
/// <remarks>
/// The bytes grow in NAME.part until all are there and right; only then is the file called NAME. A part is continued (HTTP Range, with
/// If-Range) only as long as the server's file stays the same. Proxies are taken from the environment, as .NET does by default.
/// </remarks>
public sealed class FileDownloader : IDisposable
{
    private const int MaxRedirects = 10;
    private const int BufferSize = 1 << 17;

    private readonly DownloadSettings _settings;
    private readonly HttpClient _http;

    /// <summary>Prepares to download.</summary>
    public FileDownloader(DownloadSettings settings)
    {
        _settings = settings;
        // Redirects are followed by hand: the token must not follow them to another host, and their headers tell size and checksum.
        _http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, ConnectTimeout = settings.StallTimeout })
        {
            Timeout = Timeout.InfiniteTimeSpan,     // a large file may take hours; only silence is an error
        };
        _http.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("llamafs", typeof(FileDownloader).Assembly.GetName().Version?.ToString(3)));
    }

    /// <summary>Downloads a file.</summary>
    /// <param name="url">Its address, http or https.</param>
    /// <param name="path">Where it goes; replaced where it exists. Its folder is created.</param>
    /// <param name="progress">Told of every block of bytes, and of pauses.</param>
    /// <param name="sha256">The checksum where it is known, in lower case hexadecimal; else the server's is taken where it tells one.</param>
    /// <param name="cancellation">Stops at once; what is there stays, and the next call goes on from it.</param>
    /// <exception cref="IOException">The server cannot be reached or refuses, tries ran out, or the disk is full.</exception>
    /// <exception cref="InvalidDataException">All bytes came, but their checksum is not the right one.</exception>
    public async Task DownloadAsync(
        Uri url, string path, IProgress<DownloadProgress>? progress = null, string? sha256 = null, CancellationToken cancellation = default)
    {
        using var part = new PartialFile(path, url);
        var (best, failures) = (part.Length, 0);
        while (true)
        {
            try
            {
                if (!part.IsWhole)
                    await TryOnceAsync(url, part, progress, cancellation).ConfigureAwait(false);
                break;
            }
            catch (TransferException e)
            {
                // Only new bytes count as success: a file that changes with every answer must not go on forever.
                failures = part.Length > best ? 0 : failures + 1;
                best = Math.Max(best, part.Length);
                if (part.Source?.CanResume != true)
                    part.Discard();
                if (failures >= _settings.MaxFailures)
                    throw new IOException(GaveUp(url, part, failures, e.Message), e);
                await PauseAsync(e, failures, new DownloadProgress("download", part.Length, part.Source?.Length ?? 0), progress, cancellation).ConfigureAwait(false);
            }
        }
        await CheckAsync(url, part, sha256 ?? part.Source?.Sha256, progress, cancellation).ConfigureAwait(false);
        part.Finish();
    }

    /// <summary>Asks Hugging Face's hub which version of a file it has, without the file.</summary>
    /// <exception cref="IOException">The server cannot be reached or refuses, or tries ran out.</exception>
    internal async Task<LinkedFile> AskAsync(Uri url, int tries, IProgress<DownloadProgress>? progress = null, CancellationToken cancellation = default)
    {
        for (var failures = 1; ; failures++)
        {
            try
            {
                using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
                var (answer, linked) = await ReceiveAsync(() => SendAsync(HttpMethod.Head, url, null, silence.Token), silence, Waiting(url, 0, progress), cancellation).ConfigureAwait(false);
                using (answer)
                {
                    if (linked.Tag is not null)
                        return linked;      // the storage behind the hub need not answer such a question itself
                    if (!answer.IsSuccessStatusCode)
                        throw Refused(url, answer);
                    return linked with { Tag = answer.Headers.ETag?.Tag.Trim('"') };
                }
            }
            catch (TransferException e)
            {
                if (failures >= tries)
                    throw new IOException(tries == 1 ? $"{url}: {e.Message}." : $"{url}: {e.Message}. Gave up after {failures} tries. Check the network, and run the command again.", e);
                await PauseAsync(e, failures, new DownloadProgress("download", 0, 0), progress, cancellation).ConfigureAwait(false);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    /// <summary>One request: returns when the part is whole.</summary>
    /// <exception cref="TransferException">It is not, but may be after another try.</exception>
    private async Task TryOnceAsync(Uri url, PartialFile part, IProgress<DownloadProgress>? progress, CancellationToken cancellation)
    {
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var (answer, linked) = await ReceiveAsync(() => SendAsync(HttpMethod.Get, url, part, silence.Token), silence, Waiting(url, part.Length, progress), cancellation).ConfigureAwait(false);
        using (answer)
        {
            if (!Accept(url, answer, linked, part))
                return;
            CheckSpace(part);
            using var body = await answer.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
            var buffer = new byte[BufferSize];
            while (true)
            {
                var count = await ReceiveAsync(() => body.ReadAsync(buffer, silence.Token).AsTask(), silence, null, cancellation).ConfigureAwait(false);
                if (count == 0)
                    break;
                await part.AppendAsync(buffer.AsMemory(0, count), cancellation).ConfigureAwait(false);
                progress?.Report(new DownloadProgress("download", part.Length, part.Source!.Length ?? 0));
            }
        }
        if (part.Source!.Length is { } length && length != part.Length)
        {
            var received = part.Length;
            if (received > length)
                part.Discard();
            throw new TransferException($"the server sent {received:N0} bytes of {length:N0}");
        }
    }

    /// <summary>Decides what an answer means for the part: go on, begin anew, or try again.</summary>
    /// <returns>False where the part turns out to be whole.</returns>
    private static bool Accept(Uri url, HttpResponseMessage answer, LinkedFile linked, PartialFile part)
    {
        var remote = RemoteFile.From(url, answer, linked);
        switch (answer.StatusCode)
        {
            case HttpStatusCode.OK:
                part.Begin(remote);
                return true;

            case HttpStatusCode.PartialContent when answer.Content.Headers.ContentRange?.From == part.Length && part.Source?.Agrees(remote) == true:
                return true;

            case HttpStatusCode.PartialContent:
                part.Discard();
                throw new TransferException("the file changed on the server, so it is downloaded from the beginning");

            case HttpStatusCode.RequestedRangeNotSatisfiable:
                // No byte follows: either there is none, or the part is of another file.
                if (answer.Content.Headers.ContentRange?.Length == part.Length && part.Source is { Length: null })
                    return false;
                part.Discard();
                throw new TransferException("the server has another file now, so it is downloaded from the beginning");

            default:
                throw Refused(url, answer);
        }
    }

    private static Exception Refused(Uri url, HttpResponseMessage answer) => answer.StatusCode switch
    {
        HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests or >= HttpStatusCode.InternalServerError =>
            new TransferException($"the server answered {Status(answer)}", RetryAfter(answer)),
        HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden =>
            new IOException($"{url}: the server answered {Status(answer)}. If the file needs an account, put its token into HF_TOKEN."),
        _ => new IOException($"{url}: the server answered {Status(answer)}. Is the address right?"),
    };

    /// <summary>Asks for what is missing of a part, through redirects; without a part, only to the end of what one host knows.</summary>
    private async Task<(HttpResponseMessage Answer, LinkedFile Linked)> SendAsync(HttpMethod method, Uri url, PartialFile? part, CancellationToken cancellation)
    {
        var linked = new LinkedFile();
        var address = url;
        for (var hop = 0; hop <= MaxRedirects; hop++)
        {
            using var request = new HttpRequestMessage(method, address);
            request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));   // ranges are of the file itself
            if (_settings.Token is { Length: > 0 } token && address.Host == _settings.TokenHost && (address.Scheme == Uri.UriSchemeHttps || address.IsLoopback))
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            if (part is { Length: > 0 })
            {
                request.Headers.Range = new RangeHeaderValue(part.Length, null);
                if (part.Source?.Validator is { } validator)
                    request.Headers.TryAddWithoutValidation("If-Range", validator);
            }

            var answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation).ConfigureAwait(false);
            linked = linked.With(answer.Headers);
            if (answer.StatusCode is not (HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.SeeOther
                or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect) || answer.Headers.Location is not { } location)
                return (answer, linked);

            var next = new Uri(address, location);
            if (part is null && linked.Tag is not null && next.Host != address.Host)
                return (answer, linked);
            answer.Dispose();
            if (next.Scheme != Uri.UriSchemeHttps && next.Scheme != address.Scheme)
                throw new IOException($"{url}: the server redirects to {next}, which is not safe to follow.");
            address = next;
        }
        throw new IOException($"{url}: more than {MaxRedirects} redirects.");
    }

    /// <summary>Waits for the network, but not longer than it may be silent. What is lost on the way is worth another try.</summary>
    /// <param name="receive">Waits.</param>
    /// <param name="silence">Its end, which is set.</param>
    /// <param name="waiting">What to do once it takes long; null for nothing.</param>
    /// <param name="cancellation">The user's.</param>
    private async Task<T> ReceiveAsync<T>(Func<Task<T>> receive, CancellationTokenSource silence, Action? waiting, CancellationToken cancellation)
    {
        try
        {
            silence.CancelAfter(_settings.StallTimeout);
            var answer = receive();
            if (waiting is not null && await Task.WhenAny(answer, Task.Delay(_settings.NoticeableWait, cancellation)).ConfigureAwait(false) != answer && !cancellation.IsCancellationRequested)
                waiting();
            return await answer.ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new TransferException($"nothing came for {_settings.StallTimeout.TotalSeconds:0.#} s");
        }
        catch (Exception e) when (e is HttpRequestException or HttpIOException or IOException { InnerException: SocketException })
        {
            throw new TransferException(e switch
            {
                HttpIOException { HttpRequestError: HttpRequestError.ResponseEnded } => "the connection was cut",
                { InnerException: AuthenticationException certificate } => OneLine(certificate.Message),
                _ => OneLine(e.Message),
            });
        }
    }

    private Action Waiting(Uri url, long done, IProgress<DownloadProgress>? progress) => () =>
        progress?.Report(new DownloadProgress("download", done, 0) { Note = $"waiting for an answer of {url.Host}, at most {_settings.StallTimeout.TotalSeconds:0.#} s" });

    private void CheckSpace(PartialFile part)
    {
        if (part.Source!.Length is not { } length)
            return;
        var (needed, free) = (length - part.Length, _settings.FreeSpace(part.Folder));
        if (free < needed)
            throw new IOException($"{part.Folder}: {free:N0} bytes are free on this disk, but the download needs {needed:N0} more. Make room, or choose another folder.");
    }

    private static async Task CheckAsync(Uri url, PartialFile part, string? expected, IProgress<DownloadProgress>? progress, CancellationToken cancellation)
    {
        if (expected is null)
            return;
        progress?.Report(new DownloadProgress("check", 0, part.Length));
        var actual = Convert.ToHexStringLower(await SHA256.HashDataAsync(part.FromStart(), cancellation).ConfigureAwait(false));
        progress?.Report(new DownloadProgress("check", part.Length, part.Length));
        if (actual == expected)
            return;
        part.Discard();
        throw new InvalidDataException($"{url}: SHA-256 is {actual}, expected {expected}. The download was damaged and is deleted. Run the command again.");
    }

    private static string GaveUp(Uri url, PartialFile part, int tries, string why) => part.Length == 0
        ? $"{url}: {why}. Gave up after {tries} tries. Check the network, and run the command again."
        : $"{url}: {why}. Gave up after {tries} tries; {part.Length:N0} bytes are kept in {part.Name}. Run the command again to go on.";

    private async Task PauseAsync(
        TransferException e, int failures, DownloadProgress at, IProgress<DownloadProgress>? progress, CancellationToken cancellation)
    {
        var pause = PauseAfter(failures, e.RetryAfter);
        progress?.Report(at with { Note = $"{e.Message}; trying again in {pause.TotalSeconds:0} s" });
        await _settings.Pause(pause, cancellation).ConfigureAwait(false);
    }

    private TimeSpan PauseAfter(int failures, TimeSpan? asked)
    {
        var pause = asked ?? _settings.FirstPause * Math.Pow(2, Math.Max(0, failures - 1));
        return pause < _settings.LongestPause ? pause : _settings.LongestPause;
    }

    private static TimeSpan? RetryAfter(HttpResponseMessage answer)
    {
        var header = answer.Headers.RetryAfter;
        var asked = header?.Delta ?? header?.Date - DateTimeOffset.UtcNow;
        return asked < TimeSpan.Zero ? TimeSpan.Zero : asked;
    }

    private static string OneLine(string message) => message.ReplaceLineEndings(" ").TrimEnd('.');

    private static string Status(HttpResponseMessage answer) =>
        string.Create(CultureInfo.InvariantCulture, $"{(int)answer.StatusCode} {answer.ReasonPhrase}").TrimEnd();

    /// <summary>A try that failed in a way that another one may not.</summary>
    private sealed class TransferException(string message, TimeSpan? retryAfter = null) : Exception(message)
    {
        public TimeSpan? RetryAfter { get; } = retryAfter;
    }
}
