using System.CommandLine;
using LlamaFullstack.Data;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs data …: stories → vocabulary → tokens.</summary>
internal static class DataCommand
{
    public static Command Create() => new("data", "Get stories and turn them into tokens.")
    {
        DataSampleCommand.Create(),
        DataDownloadCommand.Create(),
        DataPretokenizeCommand.Create(),
        DataTrainVocabCommand.Create(),
    };

    /// <summary>--data_dir, the same for every command.</summary>
    public static Option<string> DataDir() => Options.Create("--data_dir", "Folder of all data.", "data");

    /// <summary>--dataset, for the commands that work on any.</summary>
    public static Option<string> Dataset()
    {
        var option = Options.Create("--dataset",
            "Which stories: tinystories, sample, or your own NAME, with JSON shards as data/NAME/stories/data00.json, data01.json …", DataFolder.TinyStories);
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && result.Tokens[0].Value.AsSpan().IndexOfAny('/', '\\', '.') >= 0)
                result.AddError($"--dataset {result.Tokens[0].Value}: expected a name, not a path; --data_dir is the folder.");
        });
        return option;
    }
}
