using System.CommandLine;
using LlamaFullstack.Data;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs data …: stories → vocabulary → tokens.</summary>
internal static class DataCommand
{
    public static Command Create() => new("data", "Get stories and turn them into tokens.")
    {
        DataDownloadCommand.Create(),
        DataSampleCommand.Create(),
        DataTrainVocabCommand.Create(),
        DataPretokenizeCommand.Create(),
    };

    /// <summary>--data_dir, the same for every command.</summary>
    public static Option<string> DataDir() => Options.Create("--data_dir", "Folder of all data.", "data");

    /// <summary>--dataset, for the commands that work on any.</summary>
    public static Option<string> Dataset() => Options.Create("--dataset",
        "Which text: tinystories, tinystories-v2, sample, a file, folder or pattern (poems.txt, 'texts/*.jsonl'), or the name of one used before.", DataFolder.TinyStories);
}
