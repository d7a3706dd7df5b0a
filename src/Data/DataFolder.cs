namespace LlamaFullstack.Data;

/// <summary>Where everything of one dataset lies on disk: llama2.c's layout.</summary>
/// <remarks>
/// <code>
/// data/TinyStories_all_data/data00.json …   stories, shard by shard (shard 0 is the validation split)
/// data/tok4096.model .vocab .bin            a vocabulary trained on them
/// data/tok4096/data00.bin …                 the shards as tokens
/// data/TinyStories_all_data/data00.bin …    the shards as tokens of Llama 2's own vocabulary (vocab_size 0)
/// </code>
/// TinyStories owns the data folder itself, as in llama2.c; any other dataset has the same layout in data/NAME.
/// </remarks>
public sealed class DataFolder
{
    /// <summary>The dataset whose layout is llama2.c's own.</summary>
    public const string TinyStories = "tinystories";

    /// <summary>The built-in dataset of generated stories.</summary>
    public const string Sample = "sample";

    private readonly string _dataDir;

    /// <summary>Finds a dataset's place.</summary>
    /// <param name="dataDir">The data folder, "data" by default on the command line.</param>
    /// <param name="dataset">The dataset's name, such as <see cref="TinyStories"/>.</param>
    public DataFolder(string dataDir, string dataset)
    {
        Dataset = dataset;
        _dataDir = dataDir;
        Root = dataset == TinyStories ? dataDir : Path.Combine(dataDir, dataset);
        Stories = Path.Combine(Root, dataset == TinyStories ? "TinyStories_all_data" : "stories");
    }

    /// <summary>The dataset's name.</summary>
    public string Dataset { get; }

    /// <summary>The folder that holds everything of the dataset.</summary>
    public string Root { get; }

    /// <summary>The folder of the story shards, dataNN.json.</summary>
    public string Stories { get; }

    /// <summary>The sentencepiece model; for vocab_size 0, Llama 2's own tokenizer.model.</summary>
    public string TokenizerModel(int vocabSize) => Path.Combine(Root, vocabSize == 0 ? "tokenizer.model" : $"tok{vocabSize}.model");

    /// <summary>The tokenizer in the form that the engine reads.</summary>
    public string TokenizerBin(int vocabSize) => Path.Combine(Root, vocabSize == 0 ? "tokenizer.bin" : $"tok{vocabSize}.bin");

    /// <summary>The vocabulary as text: a piece, a tab and its score on each line.</summary>
    public string VocabularyText(int vocabSize) => Path.Combine(Root, $"tok{vocabSize}.vocab");

    /// <summary>The folder of the pretokenised shards, dataNN.bin.</summary>
    public string Tokens(int vocabSize) => vocabSize == 0 ? Stories : Path.Combine(Root, $"tok{vocabSize}");

    /// <summary>The story shards in order; shard 0 is the validation split.</summary>
    public IReadOnlyList<string> StoryShards() => InOrder(Stories, "*.json");

    /// <summary>The pretokenised shards in order; shard 0 is the validation split.</summary>
    public IReadOnlyList<string> TokenShards(int vocabSize) => InOrder(Tokens(vocabSize), "*.bin");

    /// <summary>The command that brings the stories, for messages.</summary>
    public string StoriesCommand => Dataset == Sample ? Command("sample") : Command("download");

    /// <summary>The command that trains a vocabulary on the stories, for messages.</summary>
    public string VocabularyCommand(int vocabSize) => Command($"train_vocab --vocab_size={vocabSize}{DatasetOption}");

    /// <summary>The command that makes the token shards, for messages.</summary>
    public string PretokenizeCommand(int vocabSize) => Command($"pretokenize --vocab_size={vocabSize}{DatasetOption}");

    private string DatasetOption => Dataset == TinyStories ? "" : $" --dataset={Dataset}";

    private string Command(string arguments) => $"llamafs data {arguments}{(_dataDir == "data" ? "" : $" --data_dir={_dataDir}")}";

    private static string[] InOrder(string folder, string pattern)
    {
        if (!Directory.Exists(folder))
            return [];
        var files = Directory.GetFiles(folder, pattern);
        Array.Sort(files, StringComparer.Ordinal);
        return files;
    }
}
