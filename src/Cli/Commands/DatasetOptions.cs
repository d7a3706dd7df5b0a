using System.CommandLine;
using LlamaFullstack.Data;
using LlamaFullstack.Data.Datasets;
using LlamaFullstack.Data.Parquet;

namespace LlamaFullstack.Cli.Commands;

/// <summary>The options of the commands that read a dataset's text: which it is, and how its stories are found in it.</summary>
internal sealed class DatasetOptions
{
    private readonly Option<string> _dataDir = DataCommand.DataDir();
    private readonly Option<string> _dataset = DataCommand.Dataset();
    private readonly Option<string?> _separator = Options.CreateWithoutDefault<string?>("--separator",
        "Of .txt: the line that parts two stories; or blank, line (each line is a story), none (each file is). [default: <|endoftext|> if there is one, else blank]");
    private readonly Option<string?> _textColumn = Options.CreateWithoutDefault<string?>("--text_column",
        "Of .json, .jsonl and .parquet: the name of the text. [default: story in .json, text in .jsonl, in .parquet the only column of text]");
    private readonly Option<string?> _validation = Options.CreateWithoutDefault<string?>("--validation",
        "What is not trained on: a share of the stories, a file's name, or first (file). [default: first; 0.05 of your own text]");

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[_dataset, _separator, _textColumn, _validation, _dataDir])
            command.Add(option);
    }

    /// <summary>The dataset of a command line, and its place.</summary>
    public (FileDataset Dataset, DataFolder Folder) Find(ParseResult parsed)
    {
        var folder = new DataFolder(parsed.GetValue(_dataDir)!, parsed.GetValue(_dataset)!);
        var given = new DatasetSource(null, parsed.GetValue(_separator), parsed.GetValue(_textColumn), parsed.GetValue(_validation));
        return (FileDataset.Open(folder, given, ParquetStoryReader.Format), folder);
    }
}
