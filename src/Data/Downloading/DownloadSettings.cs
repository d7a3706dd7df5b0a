namespace LlamaFullstack.Data.Downloading;

/// <summary>How patient a download is, and who it says it is.</summary>
public sealed record DownloadSettings
{
    /// <summary>How long a server may send nothing before the connection counts as lost.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long to wait for an answer before saying so.</summary>
    public TimeSpan NoticeableWait { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How many tries in a row may bring not one new byte.</summary>
    public int MaxFailures { get; init; } = 6;

    /// <summary>The pause before the first new try; it doubles with each failure.</summary>
    public TimeSpan FirstPause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The longest pause, also where the server asks for a longer one.</summary>
    public TimeSpan LongestPause { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>A token that is sent to <see cref="TokenHost"/> and to no other host, even where that one redirects to another.</summary>
    public string? Token { get; init; }

    /// <summary>The host that <see cref="Token"/> is for.</summary>
    public string TokenHost { get; init; } = "huggingface.co";

    /// <summary>
    /// The defaults, with Hugging Face's token, for its hub: from the environment variable HF_TOKEN, else from the file that its own tools
    /// write when a person logs in.
    /// </summary>
    public static DownloadSettings FromEnvironment()
    {
        var file = HubCache.Variable("HF_TOKEN_PATH") ?? Path.Combine(HubCache.Home, "token");
        return new DownloadSettings
        {
            Token = HubCache.Variable("HF_TOKEN") ?? (File.Exists(file) ? File.ReadAllText(file).Trim() : null),
            TokenHost = HubCache.Endpoint.Host,
        };
    }

    /// <summary>Bytes free on the disk of a folder. Tests replace it.</summary>
    internal Func<string, long> FreeSpace { get; init; } = folder => new DriveInfo(folder).AvailableFreeSpace;

    /// <summary>Waits. Tests replace it.</summary>
    internal Func<TimeSpan, CancellationToken, Task> Pause { get; init; } = Task.Delay;
}
