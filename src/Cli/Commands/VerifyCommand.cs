using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Export;
using LlamaFullstack.Inference;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs verify: whether two models of any format have the same weights, and tell the same story.</summary>
internal static class VerifyCommand
{
    private const int Different = 1;

    public static Command Create()
    {
        var a = new Argument<string>("a") { Description = "A model of any format." };
        var b = new Argument<string>("b") { Description = "Another." };
        var tolerance = Options.Create("--tolerance", "Largest difference of a weight that still counts as the same.", 0f);
        var tokens = Options.Create("--tokens", "Compare also so many tokens, each the likeliest one, from the beginning of a text.", 0);
        var json = new Option<bool>("--json") { Description = "Print the differences as JSON." };
        var command = new Command("verify", "Compare two models: exit code 0 where they are the same, 1 where they differ.") { a, b, tolerance, tokens, json };
        command.SetAction((parsed, cancellation) => Task.FromResult(Run(parsed.GetValue(a)!, parsed.GetValue(b)!,
            parsed.GetValue(tolerance), parsed.GetValue(tokens), parsed.GetValue(json), cancellation)));
        return command;
    }

    private static int Run(string a, string b, float tolerance, int tokens, bool json, CancellationToken cancellation)
    {
        if (!(tolerance >= 0))
            throw new UsageException($"--tolerance {tolerance}: expected a number of at least 0.");
        if (tokens < 0)
            throw new UsageException($"--tokens {tokens}: expected a number of at least 0.");
        using var sourceOfA = ModelSource.Open(a);
        using var sourceOfB = ModelSource.Open(b);
        Verification found;
        using (var bar = new ProgressBar($"verify {a}"))
            found = Verification.Of(sourceOfA, sourceOfB, new Reporter<TensorWritten>(at => bar.Report(at.Index + 1, at.Count, at.Tensor.Name)), cancellation);
        if (tokens > 0)
            found = found with { Tokens = TokenComparison.Of(GreedyTokens(sourceOfA, tokens, cancellation), GreedyTokens(sourceOfB, tokens, cancellation)) };
        if (json)
            Console.WriteLine(JsonSerializer.Serialize(found, ExportJsonContext.Default.Verification));
        else
            Print(found, tolerance);
        return found.IsWithin(tolerance) && found.Tokens?.AreSame != false ? 0 : Different;
    }

    private static void Print(Verification found, float tolerance)
    {
        foreach (var difference in found.Shape)
            Write($"{difference}");
        var width = found.Tensors.Select(tensor => tensor.Name.Length).DefaultIfEmpty().Max();
        foreach (var tensor in found.Tensors.Where(tensor => tensor.Difference > 0))
            Write($"{tensor.Name.PadRight(width)}  largest difference {tensor.Difference:G6} at ({tensor.Row}, {tensor.Column}): {tensor.A:G9}, {tensor.B:G9}");
        if (found.Tensors.Count == 0)
            Write($"different: the models' shapes are");
        else if (found.Worst!.Difference == 0)
            Write($"the same weights in all {found.Tensors.Count} tensors");
        else
            Write($"{(found.Worst.Difference <= tolerance ? "the same within the tolerance" : "different weights")}: largest difference {found.Worst.Difference:G6}, in {found.Worst.Name}");
        if (found.Tokens is { } text)
            Write($"the same {text.Shared} token{(text.Shared == 1 ? "" : "s")}{(text.AreSame ? "" : $", then {Name(text.A)} and {Name(text.B)}")}");
    }

    // From the mark of the beginning; a mark that ends a text ends this, too.
    private static List<int> GreedyTokens(ModelSource source, int count, CancellationToken cancellation)
    {
        using var file = new RunnableFile(source, cancellation);
        using var model = LlamaModel.Open(file.Path);
        using var transformer = new Transformer(model);
        var ids = new List<int>();
        var next = Vocabulary.Bos;
        for (var pos = 0; pos < Math.Min(count, model.Config.MaxSeqLen); pos++)
        {
            cancellation.ThrowIfCancellationRequested();
            var logits = transformer.Forward(next, pos);
            foreach (var logit in logits)
                if (!float.IsFinite(logit))
                    throw new InvalidDataException($"{source.Path}: token {pos + 1:N0} cannot be chosen: the logits are no finite numbers. See what is wrong with the weights: llamafs inspect {source.Path}");
            next = 0;
            for (var id = 1; id < logits.Length; id++)
                if (logits[id] > logits[next])
                    next = id;
            ids.Add(next);
            if (next is Vocabulary.Bos or Vocabulary.Eos)
                break;
        }
        return ids;
    }

    private static string Name(int? token) => token?.ToString(CultureInfo.InvariantCulture) ?? "the end";

    private static void Write(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
