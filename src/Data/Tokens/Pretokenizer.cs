// Stories → tokens, once, so that training only has to copy numbers.

using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.Datasets;

namespace LlamaFullstack.Data.Tokens;

/// <summary>How far pretokenising got.</summary>
/// <param name="ShardsDone">Finished shards.</param>
/// <param name="Shards">All shards.</param>
/// <param name="BytesDone">Bytes of the files that are done.</param>
/// <param name="Bytes">Bytes of all files.</param>
/// <param name="BytesSkipped">Of those that are done, the bytes whose tokens were there already: they took no time.</param>
public readonly record struct PretokenizeProgress(int ShardsDone, int Shards, long BytesDone, long Bytes, long BytesSkipped = 0);

/// <summary>
/// Makes the token shards of a dataset: for each file a shard of BOS and the tokens of each stripped story, with no EOS, byte for byte
/// what llama2.c's <c>tinystories.py pretokenize</c> writes.
/// </summary>
/// <remarks>
/// Files are read in parallel and their stories are encoded in parallel, in bounded memory. A shard that is finished, and whose stories and
/// tokenizer are unchanged, is skipped. More than 256 files are joined, neighbours with each other, to as many shards at most.
/// </remarks>
public sealed class Pretokenizer
{
    private const int MaxShards = 256;
    private const int ProgressBytes = 1 << 20;

    private readonly Dataset _dataset;
    private readonly string _output;
    private readonly Tokenizer _tokenizer;
    private readonly string _tokenizerHash;
    private readonly string _settings;
    private readonly IProgress<PretokenizeProgress>? _progress;
    private readonly List<Part> _parts;
    private readonly Dictionary<string, long> _fileBytes;
    private int _underWay;      // parts whose files are being read

    // All below is guarded by _gate.
    private readonly Lock _gate = new();
    private Dictionary<string, TokenShardEntry> _entries = [];      // by name: what an earlier run made, then what this one made
    private PretokenizeProgress _done;

    private Pretokenizer(Dataset dataset, DataFolder folder, int vocabSize, IProgress<PretokenizeProgress>? progress)
    {
        _dataset = dataset;
        _output = folder.Tokens(vocabSize);
        var model = folder.TokenizerModel(vocabSize);
        _tokenizer = new Tokenizer(ReadVocabulary(model, folder, vocabSize));
        _tokenizerHash = TokenManifest.Sha256(model);
        _settings = $"{dataset.Settings}, validation={dataset.Validation}";
        _progress = progress;
        var files = dataset.Files;
        _parts = Parts(files);
        _fileBytes = files.ToDictionary(file => file, file => new FileInfo(file).Length);
        _done = new PretokenizeProgress(0, _parts.Count, 0, _fileBytes.Values.Sum());
    }

    /// <summary>Makes the token shards that are not there yet, and removes those of files that are gone.</summary>
    /// <param name="dataset">The stories.</param>
    /// <param name="folder">Where its vocabulary is, and where the tokens go.</param>
    /// <param name="vocabSize">The size of its own vocabulary, which must be trained already; 0 for Llama 2's.</param>
    /// <param name="progress">Told after each megabyte and each shard, from several threads but one at a time.</param>
    /// <param name="cancellation">Stops between two stories; finished shards stay, and the next run goes on after them.</param>
    /// <returns>What was made; the same that lies beside the shards.</returns>
    /// <exception cref="FileNotFoundException">There is no tokenizer; the message says which command makes it.</exception>
    /// <exception cref="InvalidDataException">A file is not what it should be, or the tokenizer does not fit.</exception>
    /// <exception cref="IOException">A file cannot be read or written.</exception>
    public static async Task<TokenManifest> RunAsync(
        Dataset dataset, DataFolder folder, int vocabSize, IProgress<PretokenizeProgress>? progress = null, CancellationToken cancellation = default)
    {
        var pretokenizer = new Pretokenizer(dataset, folder, vocabSize, progress);
        using var folderLock = new FolderLock(pretokenizer._output, "Wait until it is done.");
        pretokenizer._entries = pretokenizer.ReadEarlierEntries();
        await Parallel.ForEachAsync(
            pretokenizer._parts,
            new ParallelOptions { CancellationToken = cancellation, MaxDegreeOfParallelism = Environment.ProcessorCount },
            (part, stop) =>
            {
                pretokenizer.Make(part, stop);
                return ValueTask.CompletedTask;
            }).ConfigureAwait(false);
        return pretokenizer.Manifest();
    }

    private static Vocabulary ReadVocabulary(string model, DataFolder folder, int vocabSize)
    {
        if (!InputFile.Exists(model))
            throw new FileNotFoundException(vocabSize == 0
                ? $"{model}: no such file. Put Llama 2's own tokenizer.model there or in the current folder, or train a vocabulary: {folder.VocabularyCommand(4096)}, and give --vocab_size=4096 here too."
                : $"{model}: no such file. Train the vocabulary first: {folder.VocabularyCommand(vocabSize)}");
        var vocabulary = SentencePieceModel.Read(model).Vocabulary;
        return vocabSize == 0 || vocabulary.Count == vocabSize ? vocabulary
            : throw new InvalidDataException($"{model}: {vocabulary.Count:N0} pieces, expected {vocabSize:N0}. Train it again: {folder.VocabularyCommand(vocabSize)}");
    }

    /// <summary>The files of each shard. No shard has files of both splits.</summary>
    private List<Part> Parts(IReadOnlyList<string> files)
    {
        var validation = _dataset.Validation.FilesOf(files);
        var filesInPart = (files.Count + MaxShards - 1) / MaxShards;
        string? SplitOf(string file) => _dataset.Validation.IsByStory ? null : validation.Contains(file) ? TokenShardEntry.Val : TokenShardEntry.Train;
        var parts = files.GroupBy(SplitOf)
            .SelectMany(split => split.Chunk(filesInPart).Select(chunk => new Part(DataFolder.PlainName(chunk[0]), split.Key, chunk))).ToList();
        return parts.DistinctBy(part => part.Name).Count() == parts.Count ? parts
            : [.. parts.Select((part, i) => part with { Name = $"{i:000}-{part.Name}" })];     // a/x.txt and b/x.txt
    }

    /// <summary>What an earlier run made in the same way, and removes what it left of files that are gone.</summary>
    private Dictionary<string, TokenShardEntry> ReadEarlierEntries()
    {
        if (TokenManifest.Read(_output) is not { } manifest)
            return [];
        var wanted = _parts.SelectMany(Names).Select(shard => shard.Name).ToHashSet();
        foreach (var gone in manifest.Shards.Where(shard => !wanted.Contains(shard.Name)))
            File.Delete(Path.Combine(_output, gone.Name));
        return manifest.TokenizerSha256 == _tokenizerHash && manifest.Settings == _settings
            ? manifest.Shards.Where(shard => wanted.Contains(shard.Name)).ToDictionary(shard => shard.Name)
            : [];
    }

    /// <summary>The shards that a part becomes: one, or one for each split.</summary>
    private IReadOnlyList<(string Name, string Split)> Names(Part part)
    {
        var extension = TokenShard.ExtensionFor(_tokenizer.VocabSize);
        return part.Split is { } split
            ? [(part.Name + extension, split)]
            : [(part.Name + extension, TokenShardEntry.Train), ($"{part.Name}.val{extension}", TokenShardEntry.Val)];
    }

    private void Make(Part part, CancellationToken cancellation)
    {
        var bytes = part.Files.Sum(file => _fileBytes[file]);
        var hash = TokenManifest.Sha256(part.Files);
        var shards = Names(part);
        TokenShardEntry[] made;
        lock (_gate)
            made = [.. shards.Select(shard => _entries.GetValueOrDefault(shard.Name)).OfType<TokenShardEntry>()];
        var isCurrent = made.Length == shards.Count && made.All(entry => entry.SourceSha256 == hash && entry.SourceBytes == bytes && IsThere(entry));
        if (!isCurrent)
            made = Tokenize(part, shards, bytes, hash, cancellation);

        lock (_gate)
        {
            foreach (var entry in made)
                _entries[entry.Name] = entry;
            _done = _done with { ShardsDone = _done.ShardsDone + 1 };
            Manifest().Write(_output);
            if (isCurrent)
                _done = _done with { BytesSkipped = _done.BytesSkipped + bytes };
            Report(isCurrent ? bytes : 0);
        }
    }

    private bool IsThere(TokenShardEntry entry)
    {
        var file = new FileInfo(Path.Combine(_output, entry.Name));
        return entry.Tokens == 0 ? !file.Exists : file.Exists && file.Length == entry.Tokens * TokenShard.TokenSize(entry.Name);
    }

    private TokenShardEntry[] Tokenize(
        Part part, IReadOnlyList<(string Name, string Split)> shards, long bytes, string hash, CancellationToken cancellation)
    {
        var sources = part.Files.Select(file => Path.GetRelativePath(_output, file).Replace('\\', '/')).ToArray();
        TokenWriter[] writers = [];
        Interlocked.Increment(ref _underWay);
        try
        {
            AtomicFile.Write([.. shards.Select(shard => Path.Combine(_output, shard.Name))], files =>
            {
                writers = [.. files.Zip(shards, (file, shard) => new TokenWriter(_tokenizer, file, TokenShard.TokenSize(shard.Name), MostBlocks))];
                Encode(part, writers, cancellation);
            });
        }
        finally
        {
            Interlocked.Decrement(ref _underWay);
        }
        var made = shards.Select((shard, i) => new TokenShardEntry(shard.Name, shard.Split, writers[i].Tokens, writers[i].Stories, sources, bytes, hash)).ToArray();
        foreach (var empty in made.Where(entry => entry.Tokens == 0))
            File.Delete(Path.Combine(_output, empty.Name));
        return made;
    }

    /// <summary>
    /// Blocks of stories that the writer of a shard may hold now: two for each processor, shared among the parts under way, but two at least. A part that
    /// becomes two shards has two writers, and the second, of the few stories that validate, may hold as many again.
    /// </summary>
    private int MostBlocks() => Math.Max(2, 2 * Environment.ProcessorCount / Math.Max(1, Volatile.Read(ref _underWay)));

    /// <summary>Reads the files of a part; its last writer takes the stories that validate where the split is by story.</summary>
    private void Encode(Part part, TokenWriter[] writers, CancellationToken cancellation)
    {
        foreach (var file in part.Files)
        {
            using var reader = _dataset.Open(file);
            var reported = 0L;
            while (reader.Read())
            {
                cancellation.ThrowIfCancellationRequested();
                var story = reader.Story;
                (part.Split is null && _dataset.Validation.Takes(story) ? writers[^1] : writers[0]).Add(story);
                if (reader.Position - reported < ProgressBytes)
                    continue;
                lock (_gate)
                    Report(reader.Position - reported);
                reported = reader.Position;
            }
            lock (_gate)
                Report(_fileBytes[file] - reported);
        }
        foreach (var writer in writers)
            writer.Finish();
    }

    private TokenManifest Manifest() => new(
        TokenManifest.DtypeFor(_tokenizer.VocabSize), _tokenizer.VocabSize, _tokenizerHash, _settings, Complete: _done.ShardsDone == _parts.Count,
        [.. _parts.SelectMany(Names).Select(shard => _entries.GetValueOrDefault(shard.Name)).OfType<TokenShardEntry>()]);

    private void Report(long bytes)
    {
        _done = _done with { BytesDone = _done.BytesDone + bytes };
        _progress?.Report(_done);
    }

    /// <summary>What becomes one shard, or where the split is by story (null) one of each split.</summary>
    private sealed record Part(string Name, string? Split, IReadOnlyList<string> Files);
}
