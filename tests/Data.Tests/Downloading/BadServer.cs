using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace LlamaFullstack.Data.Tests.Downloading;

/// <summary>A web server on this machine that does to each request what a test says: answer, cut, stall, lie.</summary>
internal sealed class BadServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Func<Request, Stream, CancellationToken, Task> _handle;

    public BadServer(Func<Request, Stream, CancellationToken, Task> handle)
    {
        _handle = handle;
        _listener.Start();
        _ = AcceptAsync();
    }

    /// <summary>Serves one file well, but lets each connection carry no more than <paramref name="cutAfter"/> says.</summary>
    public static BadServer ForFile(Func<RemoteContent> file, Func<int>? cutAfter = null) =>
        new((request, stream, _) => SendFile(request, stream, file(), cutAfter?.Invoke() ?? int.MaxValue));

    /// <summary>All requests so far, in order.</summary>
    public ConcurrentQueue<Request> Requests { get; } = new();

    public Uri Address(string path = "/file", string host = "127.0.0.1") =>
        new(string.Create(CultureInfo.InvariantCulture, $"http://{host}:{((IPEndPoint)_listener.LocalEndpoint).Port}{path}"));

    public static Task Send(Stream stream, string statusAndHeaders, byte[]? body = null)
    {
        var head = statusAndHeaders.ReplaceLineEndings("\r\n").TrimEnd() + "\r\nConnection: close\r\n\r\n";
        return stream.WriteAsync((byte[])[.. Encoding.ASCII.GetBytes("HTTP/1.1 " + head), .. body ?? []]).AsTask();
    }

    public static Task SendFile(Request request, Stream stream, RemoteContent file, int cutAfter = int.MaxValue)
    {
        var tag = file.ETag is null ? "" : $"\nETag: {file.ETag}";
        var start = request.RangeStart is { } range && (request["If-Range"] is null || request["If-Range"] == file.ETag) ? range : 0;
        var body = file.Bytes[start..];
        var head = start == 0
            ? $"200 OK{tag}\nContent-Length: {body.Length}"
            : $"206 Partial Content{tag}\nContent-Range: bytes {start}-{file.Bytes.Length - 1}/{file.Bytes.Length}\nContent-Length: {body.Length}";
        return Send(stream, head, body[..Math.Min(cutAfter, body.Length)]);
    }

    public void Dispose()
    {
        _stop.Cancel();
        _listener.Dispose();
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
                _ = ServeAsync(await _listener.AcceptTcpClientAsync(_stop.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException or SocketException)
        {
            // the test is over
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                var stream = client.GetStream();
                var request = await Request.ReadAsync(stream, _stop.Token);
                Requests.Enqueue(request);
                await _handle(request, stream, _stop.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or IOException or ObjectDisposedException)
            {
                // the client left, or the test is over
            }
        }
    }

    internal sealed record RemoteContent(byte[] Bytes, string? ETag = "\"v1\"");

    internal sealed class Request(string method, string path, Dictionary<string, string> headers)
    {
        public bool IsHead => method == "HEAD";

        public string Path { get; } = path;

        public string? this[string header] => headers.GetValueOrDefault(header);

        public int? RangeStart => this["Range"] is { } range
            ? int.Parse(range.AsSpan("bytes=".Length, range.Length - "bytes=-".Length), CultureInfo.InvariantCulture)
            : null;

        public static async Task<Request> ReadAsync(Stream stream, CancellationToken stop)
        {
            var reader = new StreamReader(stream, Encoding.ASCII, leaveOpen: true);
            var first = (await reader.ReadLineAsync(stop) ?? throw new IOException()).Split(' ');
            var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
            while (await reader.ReadLineAsync(stop) is { Length: > 0 } line)
                headers[line[..line.IndexOf(':')]] = line[(line.IndexOf(':') + 1)..].Trim();
            return new Request(first[0], first[1], headers);
        }
    }
}
