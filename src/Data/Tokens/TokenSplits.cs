using LlamaFullstack.Data.Datasets;

namespace LlamaFullstack.Data.Tokens;

/// <summary>The pretokenised shards of a dataset: which are to learn from, and which to validate with.</summary>
/// <param name="Train">Paths of the shards to learn from.</param>
/// <param name="Validation">Paths of the shards to validate with.</param>
public sealed record TokenSplits(IReadOnlyList<string> Train, IReadOnlyList<string> Validation)
{
    /// <summary>Finds the shards, and checks them against their manifest. Without one, as beside llama2.c's, the first validates.</summary>
    /// <param name="folder">The dataset's place.</param>
    /// <param name="vocabSize">The size of the vocabulary; 0 for Llama 2's own.</param>
    /// <exception cref="InvalidDataException">There are none, one split has none, or they do not fit; the message says what to do.</exception>
    public static TokenSplits Find(DataFolder folder, int vocabSize)
    {
        DatasetSource.ReadFor(folder);
        var tokens = folder.Tokens(vocabSize);
        var manifest = TokenManifest.Read(tokens);
        manifest?.Check(tokens, folder.TokenizerModel(vocabSize));
        var shards = folder.TokenShards(vocabSize);
        if (shards.Count == 0)
            throw new InvalidDataException($"{tokens}: no pretokenised shards. Make them: {Commands(folder, vocabSize)}");
        if (manifest is null && shards.Count == 1)
            throw new InvalidDataException(
                $"{shards[0]}: the only shard, but training needs two: without a manifest the first one validates and the others train. Add a shard of stories to {folder.Stories} and pretokenise it.");
        var splits = manifest is null
            ? new TokenSplits([.. shards.Skip(1)], [shards[0]])
            : new TokenSplits(manifest.PathsOf(TokenShardEntry.Train, tokens), manifest.PathsOf(TokenShardEntry.Val, tokens));
        if (splits.Train.Count == 0 || splits.Validation.Count == 0)
            throw new InvalidDataException(
                $"{tokens}: nothing to {(splits.Train.Count == 0 ? "train on" : "validate with")}. Add stories, or split those that are there: {folder.PretokenizeCommand(vocabSize)} --validation=0.05");
        return splits;
    }

    private static string Commands(DataFolder folder, int vocabSize)
    {
        var commands = new List<string>();
        if (folder.StoriesCommand is { } get && folder.StoryShards().Count == 0)
            commands.Add(get);
        if (vocabSize != 0 && !File.Exists(folder.TokenizerModel(vocabSize)))
            commands.Add(folder.VocabularyCommand(vocabSize));
        commands.Add(folder.PretokenizeCommand(vocabSize));
        return string.Join(", then ", commands);
    }
}
