namespace LlamaFullstack.Data.Downloading;

/// <summary>How far a download is.</summary>
/// <param name="Stage">What is going on: "download", "check" or "unpack".</param>
/// <param name="Done">Bytes done in this stage. A download that goes on begins with what was there already.</param>
/// <param name="Total">Bytes in all; 0 where the server does not say.</param>
/// <param name="Note">What a person should know, such as why there is a pause; else null.</param>
public readonly record struct DownloadProgress(string Stage, long Done, long Total, string? Note = null);
