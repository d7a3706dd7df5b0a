using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Export;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs export: a checkpoint → a model file that llama2.c and llamafs run read, or a folder for Hugging Face's transformers.</summary>
internal static class ExportCommand
{
    private const string Folder = "out";

    public static Command Create()
    {
        var target = new Argument<string?>("out")
        {
            Description = "Model file to write, or the folder for version -1. [default: out/model.bin, out/hf]",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var version = Options.Create("--version",
            "0: float32, what llama2.c's run reads; 1: float32 with a header; 2: int8, a quarter of the size; 3: 4 bits, a seventh; -1: a folder for Hugging Face's transformers.", 0);
        var checkpoint = Options.CreateWithoutDefault<string?>("--checkpoint",
            "ckpt.safetensors of llamafs train, ckpt.pt of llama2.c, a model file, or a folder of Hugging Face's. [default: the checkpoint in out]");
        var groupSize = Options.CreateWithoutDefault<int?>("--group_size",
            "Versions 2 and 3: weights that share one scale. [default: the largest of 64 (version 3: 32), 32, 16, … that divides dim and hidden_dim]");
        var json = new Option<bool>("--json") { Description = "Print what was written, and the error of each quantised tensor, as JSON." };

        var command = new Command("export", "Write a model file from a checkpoint.") { target, version, checkpoint, groupSize, json };
        command.SetAction((parsed, cancellation) => Task.FromResult(Run(parsed.GetValue(checkpoint), parsed.GetValue(target),
            parsed.GetValue(version), parsed.GetValue(groupSize), parsed.GetValue(json), cancellation)));
        return command;
    }

    private static int Run(string? checkpoint, string? target, int version, int? groupSize, bool json, CancellationToken cancellation)
    {
        if (version is not (ModelExport.HuggingFaceVersion or 0 or 1 or 2 or 3))
            throw new UsageException($"--version {version}: expected 0, 1, 2, 3 or -1.");
        if (groupSize is not null && version is not (2 or 3))
            throw new UsageException($"--group_size {groupSize}: only versions 2 and 3 have groups. Add --version 2 or --version 3.");

        target ??= Path.Combine(Folder, ModelExport.DefaultTargetName(version));
        ExportReport report;
        using (var source = ModelSource.Open(checkpoint ?? ModelExport.FindCheckpoint(Folder)))
        using (var bar = new ProgressBar($"export {target}"))
            report = ModelExport.Write(source, target, version, groupSize,
                new Reporter<TensorWritten>(at => bar.Report(at.Index + 1, at.Count, at.Tensor.Name)), cancellation);

        if (json)
            Console.WriteLine(JsonSerializer.Serialize(report, ExportJsonContext.Default.ExportReport));
        else
            Print(report);
        return 0;
    }

    private static void Print(ExportReport report)
    {
        var nameWidth = report.Quantized.Select(tensor => tensor.Name.Length).DefaultIfEmpty().Max();
        foreach (var tensor in report.Quantized)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{tensor.Name.PadRight(nameWidth)}  {$"({tensor.Rows}, {tensor.Cols})",-16} max error {tensor.MaxError:0.000000}  mean {tensor.MeanError:0.000000}"));
        if (report.Worst is { } worst)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"largest error {worst.MaxError:0.000000}, in {worst.Name}"));

        var kind = report.Version == ModelExport.HuggingFaceVersion ? "Hugging Face folder"
            : report.GroupSize == 0 ? $"version {report.Version}"
            : $"version {report.Version}, {(report.Version == 2 ? "int8" : "4 bits")} in groups of {report.GroupSize}";
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"wrote {report.Target}: {kind}, {report.Bytes:N0} bytes, from {report.Source} ({report.Format})"));
    }
}
