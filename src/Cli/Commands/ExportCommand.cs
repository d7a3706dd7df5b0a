using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Export;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs export: a model of any kind → a model file that llama2.c and llamafs run read, a folder for Hugging Face's transformers, or a ckpt.pt.</summary>
internal static class ExportCommand
{
    private const string Folder = "out";

    public static Command Create()
    {
        var target = new Argument<string?>("out")
        {
            Description = "Model file to write; a name that ends in .pt is a checkpoint for PyTorch and llama2.c; the folder for version -1. [default: out/model.bin, out/hf]",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var version = Options.CreateWithoutDefault<int?>("--version",
            "0: float32, what llama2.c's run reads; 1: float32 with a header; 2: int8, a quarter of the size; -1: a folder for Hugging Face's transformers. [default: 0]");
        var checkpoint = Options.CreateWithoutDefault<string?>("--checkpoint",
            "ckpt.safetensors of llamafs train, ckpt.pt of llama2.c, a model file, or a folder of Hugging Face's or Meta's. [default: the checkpoint in out]");
        var metaLlama = Options.CreateWithoutDefault<string?>("--meta_llama", "Folder of Meta's: params.json and consolidated.00.pth, consolidated.01.pth, …");
        var huggingFace = Options.CreateWithoutDefault<string?>("--hf", "Folder of Hugging Face's: config.json and model.safetensors or pytorch_model.bin, whole or in shards.");
        var dtype = Options.CreateWithoutDefault<string?>("--dtype", "fp32 or fp16, of version -1 and of a .pt. [default: fp32]");
        var groupSize = Options.CreateWithoutDefault<int?>("--group_size",
            "Version 2: weights that share one scale. [default: the largest of 64, 32, 16, … that divides dim and hidden_dim]");
        var json = new Option<bool>("--json") { Description = "Print what was written, and the error of each int8 tensor, as JSON." };

        var command = new Command("export", "Write a model file from a checkpoint.") { target, version, checkpoint, metaLlama, huggingFace, dtype, groupSize, json };
        command.SetAction((parsed, cancellation) =>
        {
            ModelSource Open() => OpenSource(parsed.GetValue(checkpoint), parsed.GetValue(metaLlama), parsed.GetValue(huggingFace));
            return Task.FromResult(Run(Open, parsed.GetValue(target), parsed.GetValue(version), parsed.GetValue(groupSize), parsed.GetValue(dtype), parsed.GetValue(json), cancellation));
        });
        return command;
    }

    private static ModelSource OpenSource(string? checkpoint, string? metaLlama, string? huggingFace) => (checkpoint, metaLlama, huggingFace) switch
    {
        (var path, null, null) => ModelSource.Open(path ?? ModelExport.FindCheckpoint(Folder)),
        (null, { } path, null) => ModelSource.OpenMeta(path),
        (null, null, { } path) => ModelSource.OpenHuggingFace(path),
        _ => throw new UsageException("--checkpoint, --meta_llama and --hf each name the model to export: give one of them."),
    };

    private static int Run(Func<ModelSource> open, string? target, int? wanted, int? groupSize, string? dtype, bool json, CancellationToken cancellation)
    {
        if (wanted is not (null or ModelExport.HuggingFaceVersion or 0 or 1 or 2))
            throw new UsageException($"--version {wanted}: expected 0, 1, 2 or -1.");
        var version = wanted ?? ModelExport.VersionOf(target ?? "");
        if (groupSize is not null && version != 2)
            throw new UsageException($"--group_size {groupSize}: only version 2 has groups. Add --version 2.");
        if (dtype is not (null or "fp32" or "fp16"))
            throw new UsageException($"--dtype {dtype}: expected fp32 or fp16.");
        if (dtype == "fp16" && version >= 0)
            throw new UsageException($"--dtype fp16: version {version} does not hold float16. Add --version -1, or name a target that ends in .pt.");

        target ??= Path.Combine(Folder, ModelExport.DefaultTargetName(version));
        ExportReport report;
        using (var source = open())
        using (var bar = new ProgressBar($"export {target}"))
            report = ModelExport.Write(source, target, version, groupSize, dtype == "fp16" ? NumberType.Float16 : NumberType.Float32,
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
            : report.Version == ModelExport.CheckpointPtVersion ? "PyTorch checkpoint"
            : report.GroupSize == 0 ? $"version {report.Version}"
            : $"version {report.Version}, int8 in groups of {report.GroupSize}";
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"wrote {report.Target}: {kind}, {report.Bytes:N0} bytes, from {report.Source} ({report.Format})"));
    }
}
