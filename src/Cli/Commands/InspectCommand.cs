using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Data.Tokens;
using LlamaFullstack.Export;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs inspect: what a file of any format holds, and what is wrong with it.</summary>
internal static class InspectCommand
{
    public static Command Create()
    {
        var file = new Argument<string>("file") { Description = "Model file, checkpoint, GGUF file, folder of Hugging Face's or Meta's, tokenizer, or shard of tokens." };
        var json = new Option<bool>("--json") { Description = "Print it as JSON." };
        var command = new Command("inspect", "Show what a file holds: configuration, tensors, checksum; and what is wrong with it.") { file, json };
        command.SetAction((parsed, cancellation) => Task.FromResult(Run(parsed.GetValue(file)!, parsed.GetValue(json), cancellation)));
        return command;
    }

    private static int Run(string path, bool asJson, CancellationToken cancellation)
    {
        Inspection found;
        using (var bar = new ProgressBar($"inspect {path}"))
            found = TokenShardSummary.Recognises(path) ? OfShard(path, cancellation) : Inspection.Of(path, new Reporter<TensorWritten>(at => bar.Report(at.Index + 1, at.Count, at.Tensor.Name)), cancellation);
        if (asJson)
            Console.WriteLine(JsonSerializer.Serialize(found, ExportJsonContext.Default.Inspection));
        else
            Print(found);
        foreach (var problem in asJson ? [] : found.Problems)
            ExitCode.Say(problem);
        return found.Problems.Count == 0 ? 0 : 1;
    }

    // Tokens are no model: what Data says of them, in the words of an inspection.
    private static Inspection OfShard(string path, CancellationToken cancellation)
    {
        var shard = TokenShardSummary.Of(path, cancellation);
        var metadata = new Dictionary<string, string>
        {
            ["tokens"] = $"{shard.Tokens}",
            ["bytes a token"] = $"{shard.TokenSize}",
            ["stories"] = $"{shard.Stories}",
            ["largest token"] = $"{shard.LargestId}",
        };
        if (shard.VocabSize is { } vocabSize)
            metadata.Add("vocab_size", $"{vocabSize}");
        return Inspection.OfFile(path, "shard of tokens", metadata, shard.Problems, cancellation);
    }

    private static void Print(Inspection found)
    {
        Write($"{found.Path}: {found.Format ?? "not readable"}, {found.Bytes:N0} bytes");
        foreach (var file in found.Files)
            Write($"sha256 {file.Sha256}{(found.Files.Count > 1 ? $"  {file.Name}, {file.Bytes:N0} bytes" : "")}");
        if (found.Config is { } c)
        {
            Write($"dim {c.Dim}, hidden_dim {c.HiddenDim}, n_layers {c.NLayers}, n_heads {c.NHeads}, n_kv_heads {c.NKvHeads}, vocab_size {c.VocabSize}, max_seq_len {c.MaxSeqLen}");
            Write($"rope_theta {c.RopeTheta}, norm_eps {c.NormEps}{(c.RopeScaling is { } scaling ? $", rope_scaling {scaling.Kind} {scaling.Factor}" : "")}, {(found.SharedClassifier ? "shared" : "own")} classifier");
            Write($"{found.Tensors.Sum(tensor => tensor.Shape.Aggregate(1L, (product, dimension) => product * dimension)):N0} parameters in {found.Tensors.Count} tensors");
        }
        foreach (var (key, value) in found.Metadata)
            Write($"{key} = {value}");
        foreach (var line in TextColumns.Aligned(found.Tensors.Select(tensor => (string[])[tensor.Name, $"({string.Join(", ", tensor.Shape)})", tensor.Type,
            string.Create(CultureInfo.InvariantCulture, $"{tensor.Bytes:N0} bytes"), string.Create(CultureInfo.InvariantCulture, $"max {tensor.Largest:0.000000}")])))
            Console.WriteLine(TextColumns.Printable(line));
    }

    private static void Write(FormattableString line) => Console.WriteLine(TextColumns.Printable(line.ToString(CultureInfo.InvariantCulture)));
}
