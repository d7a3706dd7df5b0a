using LlamaFullstack.Data.Tokens;

namespace LlamaFullstack.Data;

/// <summary>Where everything of one dataset lies on disk: llama2.c's layout.</summary>
/// <remarks>
/// <code>
/// data/TinyStories_all_data/data00.json …   stories, shard by shard (shard 0 is the validation split)
/// data/tok4096.model .vocab .bin            a vocabulary trained on them
/// data/tok4096/data00.bin …                 the shards as tokens
/// data/TinyStories_all_data/data00.bin …    the shards as tokens of Llama 2's own vocabulary (vocab_size 0)
/// </code>
/// TinyStories owns the data folder itself, as in llama2.c; any other dataset has the same layout in data/NAME. One that is given as a
/// path has the name of its file or folder: poems/*.txt is "poems", and so is poems.jsonl.gz.
/// </remarks>
public sealed class DataFolder
{
    /// <summary>The dataset whose layout is llama2.c's own.</summary>
    public const string TinyStories = "tinystories";

    /// <summary>The second version of TinyStories, plain text, all of it by GPT-4.</summary>
    public const string TinyStoriesV2 = "tinystories-v2";

    /// <summary>The built-in dataset of generated stories.</summary>
    public const string Sample = "sample";

    private const string Llama2Tokenizer = "tokenizer.model";

    private static readonly string[] BuiltIn = [TinyStories, TinyStoriesV2, Sample];
    private static readonly char[] PathCharacters = ['/', '\\', '.', '*', '?'];

    private readonly string _given;

    /// <summary>Finds a dataset's place.</summary>
    /// <param name="dataDir">The data folder, "data" by default on the command line.</param>
    /// <param name="dataset">
    /// The dataset's name, such as <see cref="TinyStories"/>, or a path. A word without any of / \ . * ? is a name where the data folder has
    /// it, else a path where there is such a file or folder, else a name.
    /// </param>
    /// <exception cref="ArgumentException">The name that follows from the path is taken by this program.</exception>
    public DataFolder(string dataDir, string dataset)
    {
        DataDir = dataDir;
        _given = dataset;
        if (IsPath(dataDir, dataset))
            SourcePath = Path.TrimEndingDirectorySeparator(Path.GetFullPath(dataset));
        Dataset = SourcePath is null ? dataset : NameOf(SourcePath);
        Root = Dataset == TinyStories ? dataDir : Path.Combine(dataDir, Dataset);
        Stories = Path.Combine(Root, Dataset == TinyStories ? "TinyStories_all_data" : "stories");
    }

    /// <summary>The data folder, which all datasets share.</summary>
    internal string DataDir { get; }

    /// <summary>The dataset's name.</summary>
    public string Dataset { get; }

    /// <summary>The full path of the files, where the dataset was given as a path; else null.</summary>
    public string? SourcePath { get; }

    /// <summary>The folder that holds everything of the dataset.</summary>
    public string Root { get; }

    /// <summary>The folder of the story shards, dataNN.json.</summary>
    public string Stories { get; }

    /// <summary>The sentencepiece model; for vocab_size 0, Llama 2's own tokenizer.model: the dataset's, else the one in the current folder, where llama2.c has it.</summary>
    public string TokenizerModel(int vocabSize)
    {
        if (vocabSize > 0)
            return Path.Combine(Root, $"tok{vocabSize}.model");
        var own = Path.Combine(Root, Llama2Tokenizer);
        return !File.Exists(own) && File.Exists(Llama2Tokenizer) ? Llama2Tokenizer : own;
    }

    /// <summary>The tokenizer in the form that the engine reads.</summary>
    public string TokenizerBin(int vocabSize) => Path.Combine(Root, vocabSize == 0 ? "tokenizer.bin" : $"tok{vocabSize}.bin");

    /// <summary>The vocabulary as text: a piece, a tab and its score on each line.</summary>
    public string VocabularyText(int vocabSize) => Path.Combine(Root, $"tok{vocabSize}.vocab");

    /// <summary>The folder of the pretokenised shards, dataNN.bin.</summary>
    public string Tokens(int vocabSize) => vocabSize == 0 ? Stories : Path.Combine(Root, $"tok{vocabSize}");

    /// <summary>The story shards of the dataset's own folder, in order; shard 0 is the validation split.</summary>
    public IReadOnlyList<string> StoryShards() => InOrder(Stories, ".json");

    /// <summary>The pretokenised shards in order.</summary>
    public IReadOnlyList<string> TokenShards(int vocabSize) => InOrder(Tokens(vocabSize), TokenShard.Extension16, TokenShard.Extension32);

    /// <summary>The command that brings the stories, for messages; null for a person's own.</summary>
    public string? StoriesCommand => Dataset switch
    {
        TinyStories => Command("download"),
        TinyStoriesV2 => Command($"download{DatasetOption}"),
        Sample => Command("sample"),
        _ => null,
    };

    /// <summary>How to get stories, for messages.</summary>
    public string StoriesAdvice => StoriesCommand is { } command ? $"Get them first: {command}"
        : SourcePath is null ? $"Is it one of {string.Join(", ", BuiltIn)}, a name used before, or the path of a file, a folder or a pattern?"
        : "Is the path right?";

    /// <summary>The command that trains a vocabulary on the stories, for messages.</summary>
    public string VocabularyCommand(int vocabSize) => Command($"train_vocab --vocab_size={vocabSize}{DatasetOption}");

    /// <summary>The command that makes the token shards, for messages.</summary>
    public string PretokenizeCommand(int vocabSize) => Command($"pretokenize --vocab_size={vocabSize}{DatasetOption}");

    private string DatasetOption => Dataset == TinyStories ? "" : $" --dataset={_given}";

    private string Command(string arguments) => $"llamafs data {arguments}{(DataDir == "data" ? "" : $" --data_dir={DataDir}")}";

    /// <summary>A file's name without its folder and its endings: "poems" of a/poems.jsonl.gz.</summary>
    internal static string PlainName(string path)
    {
        var name = Path.GetFileNameWithoutExtension(path);
        return Path.GetExtension(path) == ".gz" ? Path.GetFileNameWithoutExtension(name) : name;
    }

    private static bool IsPath(string dataDir, string dataset) =>
        dataset.IndexOfAny(PathCharacters) >= 0
        || (!BuiltIn.Contains(dataset) && !Directory.Exists(Path.Combine(dataDir, dataset)) && Path.Exists(dataset));

    private static string NameOf(string path)
    {
        var last = Path.GetFileName(path);
        while (last.Contains('*') || last.Contains('?'))
            last = Path.GetFileName(path = Path.GetDirectoryName(path) ?? "");
        var name = Directory.Exists(path) ? last : PlainName(last);
        var isTaken = BuiltIn.Contains(name) || name == "TinyStories_all_data" || (name.StartsWith("tok", StringComparison.Ordinal) && int.TryParse(name[3..], out _));
        return name.Length > 0 && !isTaken ? name
            : throw new ArgumentException($"--dataset {path}: would be named \"{name}\", which this program uses itself. Rename the file or folder.");
    }

    private static string[] InOrder(string folder, params string[] extensions)
    {
        if (!Directory.Exists(folder))
            return [];
        var files = Directory.GetFiles(folder).Where(path => extensions.Contains(Path.GetExtension(path))).ToArray();
        Array.Sort(files, StringComparer.Ordinal);
        return files;
    }
}
