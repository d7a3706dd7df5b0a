// What the token shards of a folder were made of. It lies beside them, and lets a run that was stopped go on, and training
// refuse shards of another tokenizer. It is JSON, but not named so: in llama2.c's layout *.json are the stories.

using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Data.Tokens;

/// <summary>One token shard and its source.</summary>
/// <param name="Name">File name of the shard, such as data00.bin.</param>
/// <param name="Tokens">How many tokens it holds.</param>
/// <param name="Stories">How many stories.</param>
/// <param name="Source">File name of the stories, such as data00.json.</param>
/// <param name="SourceSha256">The SHA-256 of that file, in hexadecimal.</param>
public sealed record TokenShardEntry(string Name, long Tokens, long Stories, string Source, string SourceSha256);

/// <summary>What the token shards of a folder were made of, and how far their making got.</summary>
/// <param name="Dtype">How a token is stored: "uint16", little-endian.</param>
/// <param name="VocabSize">Number of pieces of the tokenizer.</param>
/// <param name="TokenizerSha256">The SHA-256 of its .model file, in hexadecimal.</param>
/// <param name="Complete">Whether all stories are tokens; false where a run was stopped.</param>
/// <param name="Shards">The finished shards, by name.</param>
public sealed record TokenManifest(
    string Dtype, int VocabSize, string TokenizerSha256, bool Complete, IReadOnlyList<TokenShardEntry> Shards)
{
    /// <summary>The manifest's file name in the folder of the shards.</summary>
    public const string FileName = "tokens.manifest";

    /// <summary>The only <see cref="Dtype"/> so far.</summary>
    public const string UInt16 = "uint16";

    /// <summary>Number of tokens in all shards.</summary>
    [JsonIgnore]
    public long Tokens => Shards.Sum(shard => shard.Tokens);

    /// <summary>Number of stories in all shards.</summary>
    [JsonIgnore]
    public long Stories => Shards.Sum(shard => shard.Stories);

    /// <summary>Reads the manifest of a folder.</summary>
    /// <returns>Null where there is none, as beside shards that llama2.c made.</returns>
    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    public static TokenManifest? Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            return null;
        try
        {
            var manifest = JsonSerializer.Deserialize(File.ReadAllBytes(path), DataJsonContext.Default.TokenManifest);
            return manifest is { Dtype: not null, TokenizerSha256: not null, Shards: not null }
                && manifest.Shards.All(shard => shard is { Name: not null })
                && manifest.Shards.DistinctBy(shard => shard.Name).Count() == manifest.Shards.Count
                ? manifest
                : throw new JsonException("a field is missing, or a shard stands twice.");
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"{path}: not a manifest of token shards: {error.Message} Delete it and pretokenise again.");
        }
    }

    /// <summary>Writes the manifest into a folder, atomically.</summary>
    public void Write(string folder) =>
        AtomicFile.WriteAllBytes(Path.Combine(folder, FileName), JsonSerializer.SerializeToUtf8Bytes(this, DataJsonContext.Default.TokenManifest));

    /// <summary>Checks that a folder's shards are all there, and made with the tokenizer that is to be trained with.</summary>
    /// <param name="folder">The folder of the shards, which the manifest was read from.</param>
    /// <param name="tokenizerModel">The tokenizer's .model file. Where it is gone, the shards are taken to be right.</param>
    /// <exception cref="InvalidDataException">The tokenizer is another one, or a shard is missing, not finished, not listed, or of another size.</exception>
    public void Check(string folder, string tokenizerModel)
    {
        var manifest = Path.Combine(folder, FileName);
        if (Dtype != UInt16)
            throw new InvalidDataException($"{manifest}: tokens are stored as {Dtype}, but only {UInt16} can be read.");
        if (File.Exists(tokenizerModel) && Sha256(tokenizerModel) != TokenizerSha256)
            throw new InvalidDataException($"{manifest}: the shards were made with another tokenizer than {tokenizerModel} is now. Pretokenise again.");
        if (!Complete)
            throw new InvalidDataException($"{manifest}: pretokenising was stopped after {Shards.Count} shards. Run it again to finish.");
        var listed = Shards.ToDictionary(shard => shard.Name, shard => shard.Tokens * sizeof(ushort));
        var found = Directory.GetFiles(folder, "*.bin").ToDictionary(path => Path.GetFileName(path), path => new FileInfo(path).Length);
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
    }

    internal static string Sha256(string path)
    {
        using var file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }
}
