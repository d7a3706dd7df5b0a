// What the token shards of a folder were made of. It lies beside them, and lets a run that was stopped go on, and training
// refuse shards of another tokenizer or of stories that have changed. It is JSON, but not named so: in llama2.c's layout *.json are
// the stories.

using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Data.Tokens;

/// <summary>One token shard and its sources.</summary>
/// <param name="Name">File name of the shard, such as data00.bin. Where it has no tokens there is no file.</param>
/// <param name="Split">"train" or "val".</param>
/// <param name="Tokens">How many tokens it holds.</param>
/// <param name="Stories">How many stories.</param>
/// <param name="Sources">The files that the stories are from, in order, relative to the folder of the shards.</param>
/// <param name="SourceBytes">How many bytes those have.</param>
/// <param name="SourceSha256">The SHA-256 of those bytes, in hexadecimal.</param>
public sealed record TokenShardEntry(
    string Name, string Split, long Tokens, long Stories, IReadOnlyList<string> Sources, long SourceBytes, string SourceSha256)
{
    /// <summary>The split to learn from.</summary>
    public const string Train = "train";

    /// <summary>The split to validate with.</summary>
    public const string Val = "val";
}

/// <summary>What the token shards of a folder were made of, and how far their making got.</summary>
/// <param name="Dtype">How a token is stored, little-endian: "uint16", or "uint32" where the vocabulary has more than 65,536 pieces.</param>
/// <param name="VocabSize">Number of pieces of the tokenizer.</param>
/// <param name="TokenizerSha256">The SHA-256 of its .model file, in hexadecimal.</param>
/// <param name="Settings">How the stories were read and split.</param>
/// <param name="Complete">Whether all stories are tokens; false where a run was stopped.</param>
/// <param name="Shards">The finished shards, in the order of the files.</param>
public sealed record TokenManifest(
    string Dtype, int VocabSize, string TokenizerSha256, string Settings, bool Complete, IReadOnlyList<TokenShardEntry> Shards)
{
    /// <summary>The manifest's file name in the folder of the shards.</summary>
    public const string FileName = "tokens.manifest";

    /// <summary>Number of tokens in all shards.</summary>
    [JsonIgnore]
    public long Tokens => Shards.Sum(shard => shard.Tokens);

    /// <summary>Number of stories in all shards.</summary>
    [JsonIgnore]
    public long Stories => Shards.Sum(shard => shard.Stories);

    /// <summary>The <see cref="Dtype"/> of a vocabulary.</summary>
    public static string DtypeFor(int vocabSize) => TokenShard.ExtensionFor(vocabSize) == TokenShard.Extension16 ? "uint16" : "uint32";

    /// <summary>Reads the manifest of a folder.</summary>
    /// <returns>Null where there is none, as beside shards that llama2.c made.</returns>
    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    public static TokenManifest? Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!InputFile.Exists(path))
            return null;
        try
        {
            var manifest = JsonSerializer.Deserialize(File.ReadAllBytes(path), DataJsonContext.Default.TokenManifest)
                ?? throw new JsonException("there is nothing in it.");
            return manifest.FindProblem() is { } problem ? throw new JsonException(problem) : manifest;
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"{path}: not a manifest of token shards: {PlainText.Quote(error)}. Delete it and pretokenise again.");
        }
    }

    /// <summary>Writes the manifest into a folder, atomically.</summary>
    public void Write(string folder) =>
        AtomicFile.WriteAllBytes(Path.Combine(folder, FileName), JsonSerializer.SerializeToUtf8Bytes(this, DataJsonContext.Default.TokenManifest));

    /// <summary>The paths of the shards of a split that have tokens.</summary>
    public IReadOnlyList<string> PathsOf(string split, string folder) =>
        [.. Shards.Where(shard => shard.Split == split && shard.Tokens > 0).Select(shard => Path.Combine(folder, shard.Name))];

    /// <summary>Checks that a folder's shards are all there, and made of the stories and with the tokenizer of today.</summary>
    /// <param name="folder">The folder of the shards, which the manifest was read from.</param>
    /// <param name="tokenizerModel">The tokenizer's .model file. Where it is gone, the shards are taken to be right.</param>
    /// <exception cref="InvalidDataException">The tokenizer or a source is another one, or a shard is missing, not finished, not listed, or of another size.</exception>
    public void Check(string folder, string tokenizerModel)
    {
        var manifest = Path.Combine(folder, FileName);
        if (File.Exists(tokenizerModel) && Sha256(tokenizerModel) != TokenizerSha256)
            throw new InvalidDataException($"{manifest}: the shards were made with another tokenizer than {tokenizerModel} is now. Pretokenise again.");
        if (!Complete)
            throw new InvalidDataException($"{manifest}: pretokenising was stopped after {Shards.Count} shards. Run it again to finish.");
        var listed = Shards.Where(shard => shard.Tokens > 0).ToDictionary(shard => shard.Name, shard => shard.Tokens * TokenShard.TokenSize(shard.Name));
        var found = Directory.GetFiles(folder).Where(path => Path.GetExtension(path) is TokenShard.Extension16 or TokenShard.Extension32)
            .ToDictionary(path => Path.GetFileName(path), path => new FileInfo(path).Length);
        foreach (var name in listed.Keys.Union(found.Keys).Order(StringComparer.Ordinal))
        {
            var path = Path.Combine(folder, name);
            if (!listed.TryGetValue(name, out var expected))
                throw new InvalidDataException($"{path}: not listed in {manifest}, so nothing is known of it. Delete it, or pretokenise again.");
            if (!found.TryGetValue(name, out var bytes))
                throw new InvalidDataException($"{path}: missing, though {manifest} lists it. Pretokenise again.");
            if (bytes != expected)
                throw new InvalidDataException($"{path}: {bytes:N0} bytes, expected {expected:N0}. Pretokenise again.");
        }
        foreach (var shard in Shards.Where(shard => shard.Tokens > 0))
            CheckSources(shard, folder);
    }

    /// <summary>A source that is gone is nobody's mistake; one that was changed since is. Only one that is younger than its tokens is read for that.</summary>
    private static void CheckSources(TokenShardEntry shard, string folder)
    {
        var sources = shard.Sources.Select(source => new FileInfo(Path.GetFullPath(Path.Combine(folder, source)))).ToArray();
        if (sources.Any(source => !source.Exists))
            return;
        var path = Path.Combine(folder, shard.Name);
        var isYounger = sources.Max(source => source.LastWriteTimeUtc) > File.GetLastWriteTimeUtc(path);
        if (sources.Sum(source => source.Length) != shard.SourceBytes || (isYounger && Sha256(sources.Select(source => source.FullName)) != shard.SourceSha256))
            throw new InvalidDataException($"{path}: {shard.Sources[0]}{(sources.Length > 1 ? " or a file after it" : "")} has changed since these tokens were made. Pretokenise again.");
    }

    private string? FindProblem()
    {
        if (Shards.Any(shard => shard is not { Sources.Count: > 0, Tokens: >= 0 } || shard.Name != Path.GetFileName(shard.Name)))
            return "a shard has no source, or no name.";
        if (Shards.Any(shard => shard.Split is not (TokenShardEntry.Train or TokenShardEntry.Val)))
            return "a split is neither train nor val.";
        if (Shards.DistinctBy(shard => shard.Name).Count() != Shards.Count)
            return "a shard stands twice.";
        return Dtype == DtypeFor(VocabSize) ? null : $"the dtype {Dtype} is not that of {VocabSize} pieces.";
    }

    internal static string Sha256(params IEnumerable<string> paths)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[1 << 17];
        foreach (var path in paths)
        {
            using var file = new FileStream(InputFile.Open(path, FileOptions.SequentialScan), FileAccess.Read, bufferSize: 0);
            for (int count; (count = file.Read(buffer)) > 0;)
                hash.AppendData(buffer, 0, count);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
