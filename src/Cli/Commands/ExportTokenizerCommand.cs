using System.CommandLine;
using System.Globalization;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs export-tokenizer: a sentencepiece .model → the tokenizer.bin that llama2.c and llamafs run read.</summary>
internal static class ExportTokenizerCommand
{
    public static Command Create()
    {
        var target = new Argument<string?>("out") { Description = "Tokenizer to write. [default: the model's name, ending in .bin]", Arity = ArgumentArity.ZeroOrOne };
        var model = Options.Create("--tokenizer_model", "sentencepiece model to read.", "tokenizer.model", "-t");
        var command = new Command("export-tokenizer", "Write a tokenizer.bin from a sentencepiece model.") { target, model };
        command.SetAction(parsed => Run(parsed.GetValue(model)!, parsed.GetValue(target)));
        return command;
    }

    private static int Run(string model, string? target)
    {
        target ??= Path.ChangeExtension(model, ".bin");
        if (Path.GetFullPath(target) == Path.GetFullPath(model))
            throw new UsageException($"{target}: is the model itself. Name another file to write.");
        var vocabulary = SentencePieceModel.Read(model).Vocabulary;
        TokenizerBin.Write(target, vocabulary);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"wrote {target}: {vocabulary.Count:N0} tokens, {new FileInfo(target).Length:N0} bytes, from {model}"));
        return 0;
    }
}
