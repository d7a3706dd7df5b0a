using System.Net;
using System.Net.Http.Headers;

namespace LlamaFullstack.Data.Downloading;

/// <summary>What a server says of a file: enough to know later whether it is still the same.</summary>
/// <param name="Url">The address that was asked for, before any redirect.</param>
/// <param name="Validator">The strong ETag, else the Last-Modified date, as the header had it.</param>
/// <param name="Length">The whole file's bytes.</param>
/// <param name="Sha256">The SHA-256, in lower case hexadecimal.</param>
internal sealed record RemoteFile(string Url, string? Validator, long? Length, string? Sha256)
{
    /// <summary>Whether a part of the file can be joined with a later one: the server, or the checksum at the end, will tell a change.</summary>
    public bool CanResume => Validator is not null || Sha256 is not null;

    /// <summary>Whether two answers can be about the same file: nothing that both say differs.</summary>
    public bool Agrees(RemoteFile other) =>
        Url == other.Url && Same(Validator, other.Validator) && Same(Length, other.Length) && Same(Sha256, other.Sha256);

    /// <summary>Reads the headers of an answer with the content, or a part of it.</summary>
    /// <param name="url">The address that was asked for.</param>
    /// <param name="answer">The last answer, after all redirects.</param>
    /// <param name="linked">What the redirects told.</param>
    public static RemoteFile From(Uri url, HttpResponseMessage answer, LinkedFile linked)
    {
        var headers = answer.Content.Headers;
        var length = answer.StatusCode == HttpStatusCode.PartialContent ? headers.ContentRange?.Length : headers.ContentLength;
        var validator = answer.Headers.ETag is { IsWeak: false } tag ? tag.Tag : headers.LastModified?.ToString("R");
        return new RemoteFile(url.AbsoluteUri, validator, linked.Size ?? length, linked.Sha256);
    }

    private static bool Same<T>(T? one, T? other) => one is null || other is null || EqualityComparer<T>.Default.Equals(one, other);
}

/// <summary>What Hugging Face's hub says of a file, with its redirect to the storage or without one.</summary>
/// <param name="Size">X-Linked-Size: the file's bytes.</param>
/// <param name="Tag">X-Linked-ETag: for a file in large storage its SHA-256, for a small one git's hash.</param>
/// <param name="Commit">X-Repo-Commit: the version of the repository.</param>
internal readonly record struct LinkedFile(long? Size, string? Tag, string? Commit)
{
    /// <summary>The file's SHA-256, where it is told: git's hash is of another length.</summary>
    public string? Sha256 => Tag is { Length: 64 } && Tag.All(char.IsAsciiHexDigit) ? Tag.ToLowerInvariant() : null;

    /// <summary>Adds what one answer says.</summary>
    public LinkedFile With(HttpResponseHeaders headers) => new(
        long.TryParse(Value(headers, "X-Linked-Size"), out var bytes) ? bytes : Size,
        Value(headers, "X-Linked-ETag")?.Replace("W/", "").Trim('"') ?? Tag,
        Value(headers, "X-Repo-Commit") ?? Commit);

    private static string? Value(HttpResponseHeaders headers, string name) => headers.TryGetValues(name, out var values) ? values.First() : null;
}
