using System.CommandLine;
using System.Globalization;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Export;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs export-tokenizer: a sentencepiece .model, a GGUF file or a tokenizer.json → the tokenizer.bin that llama2.c and llamafs run read.</summary>
internal static class ExportTokenizerCommand
{
    public static Command Create()
    {
        var target = new Argument<string?>("out") { Description = "Tokenizer to write. [default: the model's name, ending in .bin; tokenizer.bin beside a GGUF file]", Arity = ArgumentArity.ZeroOrOne };
        var model = Options.Create("--tokenizer_model", "sentencepiece model, GGUF file, or tokenizer.json of Hugging Face's, to read.", "tokenizer.model", "-t");
        var command = new Command("export-tokenizer", "Write a tokenizer.bin from a sentencepiece model, a GGUF file or a tokenizer.json.") { target, model };
        command.SetAction(parsed => parsed.GetValue(target) is { } only && parsed.GetResult(model)!.Implicit && GgufFile.Recognises(only)
            ? Run(only, target: null) // export-tokenizer x.gguf
            : Run(parsed.GetValue(model)!, parsed.GetValue(target)));
        return command;
    }

    private static int Run(string model, string? target)
    {
        target ??= GgufFile.Recognises(model) ? Path.Combine(Path.GetDirectoryName(model)!, TokenizerFile.DefaultName) : Path.ChangeExtension(model, ".bin");
        if (Path.GetFullPath(target) == Path.GetFullPath(model))
            throw new UsageException($"{target}: is the model itself. Name another file to write.");
        var vocabulary = ModelTokenizer.Read(model).Vocabulary;
        TokenizerBin.Write(target, vocabulary);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"wrote {target}: {vocabulary.Count:N0} tokens, {new FileInfo(target).Length:N0} bytes, from {model}"));
        return 0;
    }
}
