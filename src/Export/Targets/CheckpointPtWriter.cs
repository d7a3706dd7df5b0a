using System.IO.Compression;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export.Targets;

/// <summary>Writes a ckpt.pt as llama2.c's train.py does, for its sample.py and export.py and for PyTorch: a zip archive of a pickle and of each tensor's values.</summary>
/// <remarks>Without optimizer: a training cannot go on from it, and iter_num and best_val_loss say that none was.</remarks>
public static class CheckpointPtWriter
{
    private const string Folder = "archive/";
    private const int Llama2VocabSize = 32000;
    private const int NoLoss = 1_000_000_000; // train.py's best_val_loss before the first evaluation

    // Every file of the same weights is the same file.
    private static readonly DateTimeOffset Timestamp = new(1980, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Writes a checkpoint, one tensor at a time, atomically.</summary>
    /// <param name="path">The file to create or replace.</param>
    /// <param name="source">The weights.</param>
    /// <param name="type">float32 or float16.</param>
    /// <param name="progress">Told of each tensor once it is written.</param>
    /// <param name="cancellation">Stops between two tensors; the old file stays.</param>
    /// <returns>The file's length.</returns>
    /// <exception cref="ArgumentException">llama2.c's model.py cannot express the model.</exception>
    /// <exception cref="InvalidDataException">The source is damaged, or a weight does not fit float16.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static long Write(string path, ITensorSource source, NumberType type = NumberType.Float32,
        IProgress<TensorWritten>? progress = null, CancellationToken cancellation = default)
    {
        Refuse(source);
        var tensors = TensorNames.All(source.Config, sharedClassifier: true).ToList();
        AtomicFile.Write(path, file =>
        {
            using var archive = new ZipArchive(file, ZipArchiveMode.Create, leaveOpen: true);
            AddFile(archive, "data.pkl", stream => stream.Write(MakePickle(source.Config, tensors, type)));
            AddFile(archive, "byteorder", stream => stream.Write("little"u8));
            for (var i = 0; i < tensors.Count; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                var tensor = tensors[i];
                AddFile(archive, $"data/{i}", stream => FloatWriter.Write(stream, source, tensor, type));
                progress?.Report(new TensorWritten(i, tensors.Count, tensor, 0, 0));
            }
            AddFile(archive, "version", stream => stream.Write("3\n"u8));
        });
        return new FileInfo(path).Length;
    }

    // llama2.c's ModelArgs has norm_eps but no rope_theta, and its Transformer always shares the classifier.
    private static void Refuse(ITensorSource source)
    {
        if (source.Config.ForeignRope is { } foreign)
            throw new ArgumentException($"ckpt.pt has no field for the model's {foreign}, and llama2.c would run it with its own; write another format.", nameof(source));
        if (!source.SharedClassifier)
            throw new ArgumentException("llama2.c's ckpt.pt shares the classifier with the embedding, but this model has one of its own; write another format.", nameof(source));
    }

    private static byte[] MakePickle(LlamaConfig config, List<TensorShape> tensors, NumberType type)
    {
        var storageClass = type == NumberType.Float16 ? "HalfStorage" : "FloatStorage";
        var pickle = new PickleWriter();
        void Number(string name, long value)
        {
            pickle.Text(name);
            pickle.Number(value);
        }
        pickle.Dictionary(() =>
        {
            pickle.Text("model");
            pickle.Dictionary(() =>
            {
                for (var i = 0; i < tensors.Count; i++)
                {
                    pickle.Text(tensors[i].Name);
                    pickle.Tensor(storageClass, $"{i}", tensors[i].Dimensions);
                }
                pickle.Text(TensorNames.Output); // the embedding's storage once more
                pickle.Tensor(storageClass, $"{tensors.FindIndex(tensor => tensor.Name == TensorNames.TokEmbeddings)}", [config.VocabSize, config.Dim]);
            });
            pickle.Text("model_args");
            pickle.Dictionary(() =>
            {
                Number("dim", config.Dim);
                Number("n_layers", config.NLayers);
                Number("n_heads", config.NHeads);
                Number("n_kv_heads", config.NKvHeads);
                Number("vocab_size", config.VocabSize);
                Number("hidden_dim", config.HiddenDim);
                Number("multiple_of", config.HiddenDim); // for those who compute hidden_dim: 8/3 · dim, rounded up to a multiple of itself, is itself
                Number("max_seq_len", config.MaxSeqLen);
                Number("dropout", 0);
                if (config.NormEps != LlamaConfig.DefaultNormEps)
                {
                    pickle.Text("norm_eps");
                    pickle.Fraction(config.NormEps);
                }
            });
            Number("iter_num", 0);
            Number("best_val_loss", NoLoss);
            pickle.Text("config"); // sample.py takes its tokenizer from this
            pickle.Dictionary(() =>
            {
                pickle.Text("vocab_source");
                pickle.Text(config.VocabSize == Llama2VocabSize ? "llama2" : "custom");
                Number("vocab_size", config.VocabSize);
            });
        });
        return pickle.ToArray();
    }

    private static void AddFile(ZipArchive archive, string name, Action<Stream> write)
    {
        var entry = archive.CreateEntry(Folder + name, CompressionLevel.NoCompression);
        entry.LastWriteTime = Timestamp;
        using var stream = entry.Open();
        write(stream);
    }
}
