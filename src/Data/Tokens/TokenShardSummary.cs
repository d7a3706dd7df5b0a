// What a shard holds, for people: read from end to end, without its tokenizer.

using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Data.Tokens;

/// <summary>What a shard of tokens holds, and what is wrong with it.</summary>
/// <param name="TokenSize">Bytes a token.</param>
/// <param name="Tokens">Number of tokens.</param>
/// <param name="Stories">Number of stories: tokens that begin one.</param>
/// <param name="LargestId">The largest token.</param>
/// <param name="VocabSize">Pieces of the vocabulary; null where no tokens.manifest lies beside it.</param>
/// <param name="Problems">One line each; empty where it is sound.</param>
public sealed record TokenShardSummary(int TokenSize, long Tokens, long Stories, long LargestId, int? VocabSize, IReadOnlyList<string> Problems)
{
    private const int Block = 1 << 16;

    /// <summary>Whether a file looks like a shard: by its name and its first token, which begins a story.</summary>
    public static bool Recognises(string path)
    {
        var tokenSize = TokenShard.TokenSize(path);
        if (Path.GetExtension(path) is not (TokenShard.Extension16 or TokenShard.Extension32) || !File.Exists(path) || new FileInfo(path).Length < tokenSize)
            return false;
        Span<byte> first = stackalloc byte[tokenSize];
        using var file = InputFile.Open(path, out _);
        InputFile.Read(file, path, 0, first);
        return first[0] == Vocabulary.Bos && first[1..].IndexOfAnyExcept((byte)0) < 0;
    }

    /// <summary>Reads a shard.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">Its size is not a whole number of tokens, or the manifest beside it is damaged.</exception>
    public static TokenShardSummary Of(string path, CancellationToken cancellation = default)
    {
        using var shard = TokenShard.Open(path);
        var block = new long[Block];
        var (stories, largest) = (0L, 0L);
        for (var start = 0L; start < shard.Length; start += Block)
        {
            cancellation.ThrowIfCancellationRequested();
            var tokens = block.AsSpan(0, (int)Math.Min(Block, shard.Length - start));
            shard.Read(start, tokens);
            foreach (var token in tokens)
            {
                largest = Math.Max(largest, token);
                if (token == Vocabulary.Bos)
                    stories++;
            }
        }
        var manifest = TokenManifest.Read(Path.GetDirectoryName(Path.GetFullPath(path))!);
        var problems = new List<string>();
        if (manifest is not null && largest >= manifest.VocabSize)
            problems.Add($"{path}: has the token {largest:N0}, but the vocabulary has {manifest.VocabSize:N0} pieces. Delete it and pretokenise again.");
        if (manifest?.Shards.FirstOrDefault(entry => entry.Name == Path.GetFileName(path)) is { } entry && entry.Tokens != shard.Length)
            problems.Add($"{path}: has {shard.Length:N0} tokens, but {TokenManifest.FileName} says {entry.Tokens:N0}. Was it cut short? Delete it and pretokenise again.");
        return new TokenShardSummary(TokenShard.TokenSize(path), shard.Length, stories, largest, manifest?.VocabSize, problems);
    }
}
