using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Data;
using LlamaFullstack.Export;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs export: a checkpoint → a model file that llama2.c and llamafs run read, a GGUF file, a ckpt.pt, or a folder for Hugging Face's transformers.</summary>
internal static class ExportCommand
{
    private const string Folder = "out";
    private const string GgufExtension = ".gguf";
    private const string CheckpointExtension = ".pt";
    private const string SafetensorsExtension = ".safetensors";

    private static readonly Dictionary<string, GgufType> GgufTypes = new()
    {
        ["fp32"] = GgufType.F32,
        ["fp16"] = GgufType.F16,
        ["bf16"] = GgufType.BF16,
        ["q8_0"] = GgufType.Q8,
        ["q4_0"] = GgufType.Q4,
    };

    public static Command Create()
    {
        var target = new Argument<string?>("out")
        {
            Description = "Model file to write; a name that ends in .gguf is a GGUF file for llama.cpp, in .pt a checkpoint for PyTorch and llama2.c; the folder for version -1. [default: out/model.bin, out/hf]",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var version = Options.Create("--version",
            "0: float32, what llama2.c's run reads; 1: float32 with a header; 2: int8, a quarter of the size; 3: 4 bits, a seventh; -1: a folder for Hugging Face's transformers.", 0);
        var checkpoint = Options.CreateWithoutDefault<string?>("--checkpoint",
            "ckpt.safetensors of llamafs train, ckpt.pt of llama2.c, a model file, a GGUF file, or a folder of Hugging Face's or Meta's. [default: the checkpoint in out]");
        var metaLlama = Options.CreateWithoutDefault<string?>("--meta_llama", "The same for a folder of Meta's: params.json, consolidated.00.pth, consolidated.01.pth, …");
        var huggingFace = Options.CreateWithoutDefault<string?>("--hf", "The same for a folder of Hugging Face's: config.json, and model.safetensors or pytorch_model.bin, whole or in shards.");
        var gguf = Options.CreateWithoutDefault<string?>("--gguf", "The same for a GGUF file.");
        var groupSize = Options.CreateWithoutDefault<int?>("--group_size",
            "Versions 2 and 3: weights that share one scale. [default: the largest of 64 (version 3: 32), 32, 16, … that divides dim and hidden_dim]");
        var maxSeqLen = Options.CreateWithoutDefault<int?>("--max_seq_len", "Context to write instead of the source's, in tokens.").Where(count => count >= 1, "1 or more");
        var dtype = Options.CreateWithoutDefault<string?>("--dtype", "A GGUF file's matrices: fp32, fp16, bf16, q8_0 or q4_0; a .pt and version -1: fp32 or fp16. [default: fp32]");
        var tokenizer = Options.CreateWithoutDefault<string?>("--tokenizer", "The model's tokenizer, to go into a GGUF file or a folder of Hugging Face's, or to lie beside a model file as tokenizer.bin. [default: the one that lies with the source]", "-z");
        var lossTokens = Options.CreateWithoutDefault<long?>("--loss_tokens",
            "Also measure what the numbers' type costs: the loss of what was written and of the same in float32, over about so many tokens of the dataset's validation split. Needs room for a float32 file.")
            .Where(count => count >= 1, "1 or more");
        var dataset = DataCommand.Dataset();
        var dataDir = DataCommand.DataDir();
        var json = new Option<bool>("--json") { Description = "Print what was written, and the error of each tensor that is not float32, as JSON." };

        var command = new Command("export", "Write a model file from a checkpoint.") { target, version, checkpoint, metaLlama, huggingFace, gguf, groupSize, maxSeqLen, dtype, tokenizer, lossTokens, dataset, dataDir, json };
        command.SetAction((parsed, cancellation) =>
        {
            ModelSource Open() => OpenSource(PathOf(parsed.GetValue(checkpoint), parsed.GetValue(metaLlama), parsed.GetValue(huggingFace), parsed.GetValue(gguf)), parsed.GetValue(maxSeqLen));
            var path = parsed.GetValue(target);
            var (isGguf, isCheckpoint) = (Path.GetExtension(path) == GgufExtension, Path.GetExtension(path) == CheckpointExtension);
            var isFolder = !isGguf && !isCheckpoint && parsed.GetValue(version) == ModelExport.HuggingFaceVersion;
            Option[] foreign = isGguf ? [version, groupSize] : isCheckpoint ? [version, groupSize, tokenizer] : isFolder ? [groupSize] : parsed.GetValue(dtype) == "fp32" ? [] : [dtype]; // fp32 is export.py's default, of all versions
            foreach (var option in foreign)
                if (parsed.GetResult(option) is { Implicit: false })
                    throw new UsageException(option == tokenizer ? $"{option.Name}: not of such a target. Name one that ends in {GgufExtension}, a model file, or --version -1."
                        : option == dtype ? $"{option.Name}: not of such a target, whose weights --version chooses. Name one that ends in {GgufExtension} or {CheckpointExtension}, or --version -1."
                        : $"{option.Name}: not of such a target, whose weights --dtype chooses.");
            if (!isFolder && Path.GetExtension(path) == SafetensorsExtension)
                throw new UsageException($"{path}: a {SafetensorsExtension} file is part of a folder for Hugging Face's transformers. Name the folder, with --version -1.");
            if ((isCheckpoint || isFolder) && parsed.GetResult(lossTokens) is { Implicit: false })
                throw new UsageException($"{lossTokens.Name}: the engine does not run such a target. Write a model file or a GGUF file.");
            var folder = new DataFolder(parsed.GetValue(dataDir)!, parsed.GetValue(dataset)!);
            if (parsed.GetValue(lossTokens) is not null)
                using (var source = Open())
                    ValidationLoss.FindValidation(folder, source.Tensors.Config.VocabSize); // what lacks is said before hours of work
            var report = isGguf
                ? WriteGguf(Open, path!, parsed.GetValue(dtype), parsed.GetValue(tokenizer), cancellation)
                : Write(Open, path, isCheckpoint ? ModelExport.CheckpointPtVersion : parsed.GetValue(version), parsed.GetValue(groupSize), parsed.GetValue(dtype), parsed.GetValue(tokenizer), cancellation);
            if (parsed.GetValue(lossTokens) is { } tokens)
                report = report with { Loss = MeasureLoss(Open, report, folder, tokens, cancellation) };
            if (parsed.GetValue(json))
                Console.WriteLine(JsonSerializer.Serialize(report, ExportJsonContext.Default.ExportReport));
            else
                Print(report);
            return Task.FromResult(0);
        });
        return command;
    }

    private static LossReport MeasureLoss(Func<ModelSource> open, ExportReport report, DataFolder folder, long tokens, CancellationToken cancellation)
    {
        var temporary = Directory.CreateTempSubdirectory("llamafs-export-");
        try
        {
            var float32 = Path.Combine(temporary.FullName, "float32.bin");
            using (var source = open())
                ModelExport.Write(source, float32, version: 0, groupSize: null, NumberType.Float32, tokenizer: null, progress: null, cancellation);
            var before = ValidationLoss.OfFile($"{report.Source} in float32", float32, tokenizer: null, folder, tokens, cancellation);
            var after = ValidationLoss.OfFile(report.Target, report.Target, tokenizer: null, folder, tokens, cancellation);
            return new LossReport(before.PerToken, after.PerToken, after.Tokens, after.Text);
        }
        finally
        {
            temporary.Delete(recursive: true);
        }
    }

    private static string? PathOf(string? checkpoint, string? metaLlama, string? huggingFace, string? gguf)
    {
        string?[] named = [checkpoint, metaLlama, huggingFace, gguf];
        if (named.Count(path => path is not null) > 1)
            throw new UsageException("--checkpoint, --meta_llama, --hf and --gguf each name the model to export: give one of them.");
        foreach (var (option, folder, file) in (ReadOnlySpan<(string, string?, string)>)[("--meta_llama", metaLlama, "params.json"), ("--hf", huggingFace, "config.json")])
            if (folder is not null && !File.Exists(Path.Combine(folder, file)))
                throw new FileNotFoundException($"{option} {folder}: no {file} in such a folder.");
        if (gguf is not null && File.Exists(gguf) && !GgufFile.Recognises(gguf))
            throw new InvalidDataException($"--gguf {gguf}: not a GGUF file.");
        return named.FirstOrDefault(path => path is not null);
    }

    private static ModelSource OpenSource(string? checkpoint, int? maxSeqLen)
    {
        checkpoint ??= ModelExport.FindCheckpoint(Folder);
        return maxSeqLen is { } context ? ModelSource.Open(checkpoint, context) : ModelSource.Open(checkpoint);
    }

    private static ExportReport Write(Func<ModelSource> open, string? target, int version, int? groupSize, string? dtype, string? tokenizer, CancellationToken cancellation)
    {
        if (version is not (ModelExport.CheckpointPtVersion or ModelExport.HuggingFaceVersion or 0 or 1 or 2 or 3))
            throw new UsageException($"--version {version}: expected 0, 1, 2, 3 or -1.");
        if (groupSize is not null && version is not (2 or 3))
            throw new UsageException($"--group_size {groupSize}: only versions 2 and 3 have groups. Add --version 2 or --version 3.");
        if (dtype is not (null or "fp32" or "fp16"))
            throw new UsageException($"--dtype {dtype}: expected fp32 or fp16.");

        target ??= Path.Combine(Folder, ModelExport.DefaultTargetName(version));
        using var source = open();
        var own = version == ModelExport.CheckpointPtVersion ? null : FindTokenizer(tokenizer, source);
        ExportReport report;
        using (var bar = new ProgressBar($"export {target}"))
            report = ModelExport.Write(source, target, version, groupSize, dtype == "fp16" ? NumberType.Float16 : NumberType.Float32, own, Progress(bar), cancellation);
        var usual = version == 2 ? 64 : 32;
        if (groupSize is null && report.GroupSize > 0 && report.GroupSize < usual / 4) // half as large again and more
            ExitCode.Say(string.Create(CultureInfo.InvariantCulture,
                $"groups of {report.GroupSize}, since no larger power of two divides both dim and hidden_dim: {BytesOfAWeight(version, report.GroupSize):0.##} bytes a weight, where multiples of {usual} take {BytesOfAWeight(version, usual):0.##}."));
        return version == ModelExport.HuggingFaceVersion || own is null ? report : report with { Tokenizer = WriteBeside(own, target) };
    }

    // Its values, and its share of a scale.
    private static double BytesOfAWeight(int version, int groupSize) => version == 2 ? 1 + 4.0 / groupSize : 0.5 + 2.0 / groupSize;

    // A model without its tokenizer is still a model: what is wrong with one that was not named is told, and no reason to stop.
    private static ModelTokenizer? FindTokenizer(string? named, ModelSource source)
    {
        if (named is not null)
            return ModelTokenizer.Of(named, source);
        try
        {
            return ModelTokenizer.FindOf(source);
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            ExitCode.Say($"no tokenizer is written: {e.Message}");
            return null;
        }
    }

    private static string? WriteBeside(ModelTokenizer tokenizer, string target)
    {
        try
        {
            return tokenizer.WriteBeside(target);
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            ExitCode.Say(e.Message);
            return null;
        }
    }

    private static ExportReport WriteGguf(Func<ModelSource> open, string target, string? dtype, string? tokenizer, CancellationToken cancellation)
    {
        var type = dtype is null ? GgufType.F32 : GgufTypes.GetValueOrDefault(dtype)
            ?? throw new UsageException($"--dtype {dtype}: expected {string.Join(", ", GgufTypes.Keys)}.");
        using var source = open();
        var vocabulary = ModelTokenizer.Of(tokenizer, source).Vocabulary;
        using var bar = new ProgressBar($"export {target}");
        return ModelExport.WriteGguf(source, target, type, vocabulary, Progress(bar), cancellation);
    }

    private static Reporter<TensorWritten> Progress(ProgressBar bar) => new(at => bar.Report(at.Index + 1, at.Count, at.Tensor.Name));

    private static void Print(ExportReport report)
    {
        foreach (var line in TextColumns.Aligned(report.Quantized.Select(tensor => (string[])[tensor.Name, $"({tensor.Rows}, {tensor.Cols})", tensor.Type,
            string.Create(CultureInfo.InvariantCulture, $"error {tensor.MaxError:0.000000}"), string.Create(CultureInfo.InvariantCulture, $"mean {tensor.MeanError:0.000000}")])))
            Console.WriteLine(line);
        if (report.Worst is { } worst)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"largest error {worst.MaxError:0.000000}, in {worst.Name}"));

        if (report.Loss is { } loss)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"loss {loss.Written:0.000000}, in float32 {loss.Float32:0.000000}: {loss.Written - loss.Float32:+0.000000;-0.000000} over {loss.Tokens:N0} tokens of {loss.Text}"));

        var kind = report.Version == ModelExport.HuggingFaceVersion ? "Hugging Face folder"
            : report.Version == ModelExport.GgufVersion ? "GGUF"
            : report.Version == ModelExport.CheckpointPtVersion ? "PyTorch checkpoint"
            : report.GroupSize == 0 ? $"version {report.Version}"
            : $"version {report.Version}, {(report.Version == 2 ? "int8" : "4 bits")} in groups of {report.GroupSize}";
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"wrote {report.Target}: {kind}, {report.Bytes:N0} bytes, from {report.Source} ({report.Format})"));
        if (report.Tokenizer is not null)
            Console.WriteLine($"wrote {report.Tokenizer}: its tokenizer");
    }
}
