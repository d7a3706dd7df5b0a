// Stories → tokens, once, so that training only has to copy numbers.

using System.Runtime.InteropServices;
using System.Security.Cryptography;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.Stories;

namespace LlamaFullstack.Data.Tokens;

/// <summary>How far pretokenising got.</summary>
/// <param name="ShardsDone">Finished shards.</param>
/// <param name="Shards">All shards.</param>
/// <param name="BytesDone">Bytes of stories read, or skipped because their tokens were there already.</param>
/// <param name="Bytes">Bytes of all stories.</param>
public readonly record struct PretokenizeProgress(int ShardsDone, int Shards, long BytesDone, long Bytes);

/// <summary>
/// Makes the token shards of a dataset: for each shard of stories a file of BOS and the tokens of each stripped story, with no EOS,
/// byte for byte what llama2.c's <c>tinystories.py pretokenize</c> writes.
/// </summary>
/// <remarks>Shards run in parallel, each in bounded memory. A shard that is finished, and whose stories and tokenizer are unchanged, is skipped.</remarks>
public sealed class Pretokenizer
{
    /// <summary>What 2 bytes can tell apart; a larger vocabulary would wrap around in llama2.c's shards.</summary>
    public const int MaxVocabSize = ushort.MaxValue + 1;

    private const int ProgressBytes = 1 << 20;

    private readonly string _output;
    private readonly IReadOnlyList<string> _sources;
    private readonly Tokenizer _tokenizer;
    private readonly string _tokenizerHash;
    private readonly IProgress<PretokenizeProgress>? _progress;

    private readonly long _bytes;

    // All below is guarded by _gate.
    private readonly Lock _gate = new();
    private readonly Dictionary<string, TokenShardEntry> _entries;      // by source: what an earlier run made, then what this one made
    private int _shardsDone;
    private long _bytesDone;

    private Pretokenizer(DataFolder folder, int vocabSize, IProgress<PretokenizeProgress>? progress)
    {
        _output = folder.Tokens(vocabSize);
        _sources = folder.StoryShards();
        var model = folder.TokenizerModel(vocabSize);
        var vocabulary = ReadVocabulary(model, folder, vocabSize);
        _tokenizer = new Tokenizer(vocabulary);
        _tokenizerHash = TokenManifest.Sha256(model);
        _progress = progress;
        if (_sources.Count == 0)
            throw new FileNotFoundException($"{folder.Stories}: no stories (*.json). Get them first: {folder.StoriesCommand}");
        _bytes = _sources.Sum(source => new FileInfo(source).Length);
        _entries = ReadEarlierEntries();
    }

    /// <summary>Makes the token shards that are not there yet.</summary>
    /// <param name="folder">The dataset.</param>
    /// <param name="vocabSize">The size of its own vocabulary, which must be trained already; 0 for Llama 2's.</param>
    /// <param name="progress">Told after each megabyte and each shard, from several threads but one at a time.</param>
    /// <param name="cancellation">Stops between two stories; finished shards stay, and the next run goes on after them.</param>
    /// <returns>What was made; the same that lies beside the shards.</returns>
    /// <exception cref="FileNotFoundException">There is no tokenizer or no story; the message says which command makes it.</exception>
    /// <exception cref="InvalidDataException">A shard is not JSON of stories, or the tokenizer does not fit.</exception>
    /// <exception cref="IOException">A file cannot be read or written.</exception>
    public static async Task<TokenManifest> RunAsync(
        DataFolder folder, int vocabSize, IProgress<PretokenizeProgress>? progress = null, CancellationToken cancellation = default)
    {
        var pretokenizer = new Pretokenizer(folder, vocabSize, progress);
        await Parallel.ForEachAsync(
            pretokenizer._sources,
            new ParallelOptions { CancellationToken = cancellation, MaxDegreeOfParallelism = Environment.ProcessorCount },
            (source, stop) =>
            {
                pretokenizer.Shard(source, stop);
                return ValueTask.CompletedTask;
            }).ConfigureAwait(false);
        return pretokenizer.Manifest();
    }

    private static Vocabulary ReadVocabulary(string model, DataFolder folder, int vocabSize)
    {
        if (!File.Exists(model))
            throw new FileNotFoundException(vocabSize == 0
                ? $"{model}: no such file. Put Llama 2's own tokenizer.model there, or train a vocabulary: {folder.VocabularyCommand(4096)}, and give --vocab_size=4096 here too."
                : $"{model}: no such file. Train the vocabulary first: {folder.VocabularyCommand(vocabSize)}");
        var vocabulary = SentencePieceModel.Read(model).Vocabulary;
        if (vocabSize != 0 && vocabulary.Count != vocabSize)
            throw new InvalidDataException($"{model}: {vocabulary.Count:N0} pieces, expected {vocabSize:N0}. Train it again: {folder.VocabularyCommand(vocabSize)}");
        if (vocabulary.Count > MaxVocabSize)
            throw new InvalidDataException($"{model}: {vocabulary.Count:N0} pieces, but a shard's 2-byte tokens tell at most {MaxVocabSize:N0} apart. Train a smaller vocabulary.");
        return vocabulary;
    }

    /// <summary>What an earlier run with the same tokenizer made of these stories.</summary>
    private Dictionary<string, TokenShardEntry> ReadEarlierEntries()
    {
        var manifest = TokenManifest.Read(_output);
        if (manifest?.TokenizerSha256 != _tokenizerHash)
            return [];
        var sources = _sources.Select(Path.GetFileName).ToHashSet();
        return manifest.Shards.Where(shard => sources.Contains(shard.Source)).ToDictionary(shard => shard.Source);
    }

    private void Shard(string source, CancellationToken cancellation)
    {
        var target = Path.Combine(_output, Path.GetFileNameWithoutExtension(source) + ".bin");
        TokenShardEntry? entry;
        lock (_gate)
            _entries.TryGetValue(Path.GetFileName(source), out entry);
        if (entry is not null && IsCurrent(entry, source, target))
            AddBytes(new FileInfo(source).Length);
        else
            entry = Tokenize(source, target, cancellation);

        lock (_gate)
        {
            _entries[entry.Source] = entry;
            _shardsDone++;
            Manifest().Write(_output);
            Report();
        }
    }

    private static bool IsCurrent(TokenShardEntry entry, string source, string target) =>
        File.Exists(target)
        && new FileInfo(target).Length == entry.Tokens * sizeof(ushort)
        && TokenManifest.Sha256(source) == entry.SourceSha256;

    private TokenShardEntry Tokenize(string source, string target, CancellationToken cancellation)
    {
        using var hash = SHA256.Create();
        using var file = new FileStream(source, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
        using var reader = new StoryShardReader(new CryptoStream(file, hash, CryptoStreamMode.Read), source);
        var (tokens, stories, reported) = (0L, 0L, 0L);
        AtomicFile.Write(target, output =>
        {
            var ids = new List<int>();
            var packed = Array.Empty<ushort>();
            while (reader.Read())
            {
                cancellation.ThrowIfCancellationRequested();
                ids.Clear();
                ids.Add(Vocabulary.Bos);
                _tokenizer.Encode(reader.Story, ids);
                if (packed.Length < ids.Count)
                    packed = new ushort[2 * ids.Count];
                for (var i = 0; i < ids.Count; i++)
                    packed[i] = (ushort)ids[i];
                output.Write(MemoryMarshal.AsBytes(packed.AsSpan(0, ids.Count)));
                tokens += ids.Count;
                stories++;
                if (reader.Position - reported >= ProgressBytes)
                {
                    AddBytes(reader.Position - reported);
                    reported = reader.Position;
                }
            }
        });
        AddBytes(reader.Position - reported);
        return new TokenShardEntry(Path.GetFileName(target), tokens, stories, Path.GetFileName(source), Convert.ToHexStringLower(hash.Hash!));
    }

    private TokenManifest Manifest() => new(
        TokenManifest.UInt16, _tokenizer.VocabSize, _tokenizerHash, Complete: _shardsDone == _sources.Count,
        [.. _entries.Values.OrderBy(entry => entry.Source, StringComparer.Ordinal)]);

    private void AddBytes(long bytes)
    {
        lock (_gate)
        {
            _bytesDone += bytes;
            Report();
        }
    }

    private void Report() => _progress?.Report(new PretokenizeProgress(_shardsDone, _sources.Count, _bytesDone, _bytes));
}
