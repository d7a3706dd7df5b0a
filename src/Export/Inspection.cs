using System.Security.Cryptography;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Export;

/// <summary>What a file of any format that is read here holds, and what is wrong with it.</summary>
/// <param name="Path">The file or the folder.</param>
/// <param name="Format">Its format, for people; null where it is none that is read here.</param>
/// <param name="Bytes">The file's length, or that of all files in the folder.</param>
/// <param name="Files">The file, or those of the folder by name, each with its checksum.</param>
/// <param name="Config">The model's shape; null where it is no model.</param>
/// <param name="SharedClassifier">Whether the classifier is the embedding.</param>
/// <param name="Metadata">What else the file says of itself, by name.</param>
/// <param name="Tensors">The model's tensors, in the order of the forward pass.</param>
/// <param name="Problems">What is wrong, one line each; empty where the file is sound.</param>
public sealed record Inspection(string Path, string? Format, long Bytes, IReadOnlyList<InspectedFile> Files, LlamaConfig? Config, bool SharedClassifier,
    IReadOnlyDictionary<string, string> Metadata, IReadOnlyList<InspectedTensor> Tensors, IReadOnlyList<string> Problems)
{
    /// <summary>Reads a file or a folder to its end. A damaged one is no exception: it is in <see cref="Problems"/>.</summary>
    /// <param name="path">A model of any format, or a tokenizer.</param>
    /// <param name="progress">Told of each tensor once it was read.</param>
    /// <param name="cancellation">Stops between two tensors, and within a checksum.</param>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static Inspection Of(string path, IProgress<TensorWritten>? progress = null, CancellationToken cancellation = default)
    {
        string[] names = Directory.Exists(path) ? [.. Directory.GetFiles(path).Order(StringComparer.Ordinal)] : [path];
        InspectedFile[] files = [.. names.Select(name => InspectedFile.Of(name, cancellation))];
        var empty = new Inspection(path, null, files.Sum(file => file.Bytes), files, null, false, new Dictionary<string, string>(), [], []);
        try
        {
            return FindTokenizer(path) is { } vocabulary ? OfTokenizer(empty, vocabulary) : OfModel(empty, progress, cancellation);
        }
        catch (InvalidDataException e)
        {
            return empty with { Problems = [e.Message] };
        }
    }

    /// <summary>A file that another room has looked at.</summary>
    /// <param name="path">The file.</param>
    /// <param name="format">Its format, for people.</param>
    /// <param name="metadata">What it holds, by name.</param>
    /// <param name="problems">What is wrong, one line each.</param>
    /// <param name="cancellation">Stops within the file.</param>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static Inspection OfFile(string path, string format, IReadOnlyDictionary<string, string> metadata, IReadOnlyList<string> problems, CancellationToken cancellation = default)
    {
        var file = InspectedFile.Of(path, cancellation);
        return new Inspection(path, format, file.Bytes, [file], null, false, metadata, [], problems);
    }

    private static Inspection OfModel(Inspection empty, IProgress<TensorWritten>? progress, CancellationToken cancellation)
    {
        using var source = ModelSource.Open(empty.Path);
        var shapes = TensorNames.All(source.Tensors.Config, source.Tensors.SharedClassifier).ToList();
        var tensors = new List<InspectedTensor>();
        var problems = new List<string>();
        foreach (var shape in shapes)
        {
            cancellation.ThrowIfCancellationRequested();
            var notFinite = 0L;
            var (largest, _) = TensorParts.ForEach(source.Tensors, shape, (_, values) =>
            {
                var (max, bad) = Scan(values);
                Interlocked.Add(ref notFinite, bad);
                return (max, 0);
            });
            if (notFinite > 0)
                problems.Add($"{empty.Path}: {shape.Name} has {notFinite:N0} values that are not finite numbers.");
            var (type, length) = source.Tensors.StorageOf(shape.Name);
            tensors.Add(new InspectedTensor(shape.Name, type, shape.IsVector ? [shape.Cols] : [shape.Rows, shape.Cols], length, largest));
            progress?.Report(new TensorWritten(tensors.Count - 1, shapes.Count, shape, 0, 0));
        }
        return empty with
        {
            Format = source.Format,
            Config = source.Tensors.Config,
            SharedClassifier = source.Tensors.SharedClassifier,
            Metadata = ReadMetadata(source.Tensors),
            Tensors = tensors,
            Problems = problems,
        };
    }

    private static Inspection OfTokenizer(Inspection empty, Vocabulary vocabulary) => empty with
    {
        Format = "tokenizer",
        Metadata = new Dictionary<string, string>
        {
            ["tokens"] = $"{vocabulary.Count}",
            ["longest token in bytes"] = $"{vocabulary.Pieces.Max(piece => piece.Text.Length)}",
            ["add_dummy_prefix"] = vocabulary.AddDummyPrefix ? "true" : "false",
            ["remove_extra_whitespaces"] = vocabulary.RemoveExtraWhitespaces ? "true" : "false",
        },
    };

    // A tokenizer.bin says nothing of itself but holds the bytes where every Llama vocabulary has them; models do not.
    private static Vocabulary? FindTokenizer(string path)
    {
        if (System.IO.Path.GetExtension(path) is ".model" or ".json")
            return ModelTokenizer.Read(path).Vocabulary;
        if (Directory.Exists(path) || System.IO.Path.GetExtension(path) != ".bin")
            return null;
        try
        {
            return TokenizerBin.Read(path);
        }
        catch (InvalidDataException)
        {
            return null; // what a model file is, too; whoever opens it as one says what is wrong with it
        }
    }

    private static Dictionary<string, string> ReadMetadata(ITensorSource source) => source switch
    {
        GgufModel gguf => gguf.File.Metadata.Keys.ToDictionary(key => key, gguf.File.Metadata.Describe),
        _ => [],
    };

    private static (float Largest, long NotFinite) Scan(ReadOnlySpan<float> values)
    {
        var largest = 0f;
        var notFinite = 0L;
        foreach (var value in values)
        {
            if (float.IsFinite(value))
                largest = Math.Max(largest, Math.Abs(value));
            else
                notFinite++;
        }
        return (largest, notFinite);
    }
}

/// <summary>A file that was looked at.</summary>
/// <param name="Name">Its name without its folder.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Sha256">Its SHA-256 in hexadecimal.</param>
public sealed record InspectedFile(string Name, long Bytes, string Sha256)
{
    internal static InspectedFile Of(string path, CancellationToken cancellation)
    {
        using var file = InputFile.Open(path, FileOptions.SequentialScan);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[1 << 17];
        var length = 0L;
        for (int count; (count = RandomAccess.Read(file, buffer, length)) > 0; length += count)
        {
            cancellation.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, count);
        }
        return new InspectedFile(Path.GetFileName(path), length, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }
}

/// <summary>A tensor that was looked at.</summary>
/// <param name="Name">Its name, as in <see cref="TensorNames"/>.</param>
/// <param name="Type">How the file holds its values.</param>
/// <param name="Shape">Its dimensions, rows first.</param>
/// <param name="Bytes">Its size in the file.</param>
/// <param name="Largest">The largest magnitude of its finite values.</param>
public sealed record InspectedTensor(string Name, string Type, IReadOnlyList<int> Shape, long Bytes, float Largest);
