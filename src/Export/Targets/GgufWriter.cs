using System.Buffers;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Quantization;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Export.Targets;

/// <summary>Writes a GGUF file of a Llama model with its tokenizer, which llama.cpp and whatever is built on it load. Byte table: docs/FORMATS.md.</summary>
public static class GgufWriter
{
    private const int QuantizationVersion = 2; // of ggml's block types; unchanged since 2023

    // llama.cpp's numbers for "what most tensors are".
    private static readonly Dictionary<GgufType, int> FileTypes = new()
    {
        [GgufType.F32] = 0,
        [GgufType.F16] = 1,
        [GgufType.Q4] = 2,
        [GgufType.Q8] = 7,
        [GgufType.BF16] = 32,
    };

    /// <summary>Writes a file, one tensor at a time, atomically.</summary>
    /// <param name="path">The file to create or replace.</param>
    /// <param name="source">The weights.</param>
    /// <param name="type">What matrices become; see <see cref="TypeOf"/>. Norms are always float32.</param>
    /// <param name="vocabulary">The model's tokenizer.</param>
    /// <param name="progress">Told of each tensor once it is written.</param>
    /// <param name="cancellation">Stops between two tensors; the old file stays.</param>
    /// <returns>Each tensor that is not float32, with what its type cost.</returns>
    /// <exception cref="ArgumentException">The tokenizer is another model's.</exception>
    /// <exception cref="InvalidDataException">The source is damaged, or a weight does not fit the type.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static IReadOnlyList<TensorError> Write(string path, ITensorSource source, GgufType type, Vocabulary vocabulary,
        IProgress<TensorWritten>? progress = null, CancellationToken cancellation = default)
    {
        if (vocabulary.Count != source.Config.VocabSize)
            throw new ArgumentException($"the tokenizer has {vocabulary.Count:N0} tokens, but the model {source.Config.VocabSize:N0}.", nameof(vocabulary));
        var tensors = TensorNames.All(source.Config, source.SharedClassifier).ToList();
        var ropeFactors = GgufRope.Factors(source.Config);
        using var header = MakeHeader(path, source, type, vocabulary, tensors, ropeFactors);
        var errors = new List<TensorError>();
        AtomicFile.Write(path, file =>
        {
            header.Write(file);
            for (var i = 0; i < tensors.Count; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                var tensor = tensors[i];
                var held = TypeOf(tensor, type, source.SharedClassifier);
                var (max, mean) = WriteTensor(file, source, tensor, held, path);
                if (held != GgufType.F32)
                    errors.Add(new TensorError(tensor.Name, tensor.Rows, tensor.Cols, max, mean, held.Name));
                progress?.Report(new TensorWritten(i, tensors.Count, tensor, max, mean));
            }
            if (ropeFactors is not null)
            {
                FloatWriter.Write(file, ropeFactors, NumberType.Float32, GgufNames.RopeFreqs);
                Pad(file);
            }
        });
        return errors;
    }

    /// <summary>What a tensor becomes.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="type">What was asked for.</param>
    /// <param name="sharedClassifier">Whether the embedding is the classifier.</param>
    /// <remarks>
    /// Norms stay float32, and a matrix whose rows are not whole blocks becomes float16, as in llama.cpp. Where 4 bits are asked for, the classifier
    /// gets 8, since its errors go straight into the choice of a token (llama.cpp gives it 6).
    /// </remarks>
    public static GgufType TypeOf(TensorShape tensor, GgufType type, bool sharedClassifier)
    {
        if (tensor.IsVector)
            return GgufType.F32;
        if (type == GgufType.Q4 && tensor.Name == (sharedClassifier ? TensorNames.TokEmbeddings : TensorNames.Output))
            type = GgufType.Q8;
        return tensor.Cols % type.BlockLength == 0 ? type : GgufType.F16;
    }

    private static GgufHeaderWriter MakeHeader(string path, ITensorSource source, GgufType type, Vocabulary vocabulary, List<TensorShape> tensors, float[]? ropeFactors)
    {
        var config = source.Config;
        var header = new GgufHeaderWriter();
        header.Text(GgufNames.ArchitectureKey, GgufNames.Architecture);
        header.Text("general.name", Path.GetFileNameWithoutExtension(path));
        header.Whole(GgufFile.AlignmentKey, GgufFile.DefaultAlignment);
        header.Whole("general.file_type", FileTypes[type]);
        if (type.BlockLength > 1)
            header.Whole("general.quantization_version", QuantizationVersion);
        header.Whole(GgufNames.VocabSize, config.VocabSize);
        header.Whole(GgufNames.ContextLength, config.MaxSeqLen);
        header.Whole(GgufNames.EmbeddingLength, config.Dim);
        header.Whole(GgufNames.BlockCount, config.NLayers);
        header.Whole(GgufNames.FeedForwardLength, config.HiddenDim);
        header.Whole(GgufNames.HeadCount, config.NHeads);
        header.Whole(GgufNames.HeadCountKv, config.NKvHeads);
        header.Fraction(GgufNames.NormEps, config.NormEps);
        header.Whole(GgufNames.RopeDimensionCount, config.HeadSize);
        header.Fraction(GgufNames.RopeFreqBase, config.RopeTheta);
        if (config.RopeScaling is { Kind: RopeScalingKind.Linear } linear)
        {
            header.Text(GgufRope.ScalingType, GgufRope.Linear);
            header.Fraction(GgufRope.ScalingFactor, linear.Factor);
        }
        if (config.RopeScaling is { Kind: RopeScalingKind.Llama3 } llama3)
        {
            header.Fraction(GgufRope.Llama3Factor, llama3.Factor);
            header.Fraction(GgufRope.Llama3LowFreqFactor, llama3.LowFreqFactor);
            header.Fraction(GgufRope.Llama3HighFreqFactor, llama3.HighFreqFactor);
            header.Whole(GgufRope.Llama3OriginalMaxSeqLen, llama3.OriginalMaxSeqLen);
        }
        AddVocabulary(header, vocabulary);

        foreach (var tensor in tensors)
            header.Tensor(GgufNames.Of(tensor.Name), tensor.IsVector ? [tensor.Cols] : [tensor.Rows, tensor.Cols], TypeOf(tensor, type, source.SharedClassifier));
        if (ropeFactors is not null)
            header.Tensor(GgufNames.RopeFreqs, [ropeFactors.Length], GgufType.F32);
        return header;
    }

    private static void AddVocabulary(GgufHeaderWriter header, Vocabulary vocabulary)
    {
        header.Text(GgufVocabulary.ModelKey, GgufVocabulary.Model);
        header.Text("tokenizer.ggml.pre", "default");
        header.Texts(GgufVocabulary.Tokens, [.. vocabulary.Pieces.Select(GgufVocabulary.StoredText)]);
        header.Fractions(GgufVocabulary.Scores, [.. vocabulary.Pieces.Select(piece => piece.Score)]);
        header.Wholes(GgufVocabulary.Types, [.. vocabulary.Pieces.Select(piece => (int)piece.Type)]);
        foreach (var (key, id) in GgufVocabulary.Marks)
            header.Whole(key, id);
        header.Flag(GgufVocabulary.AddBos, true);
        header.Flag(GgufVocabulary.AddEos, false);
        header.Flag(GgufVocabulary.AddSpacePrefix, vocabulary.AddDummyPrefix);
        header.Flag(GgufVocabulary.RemoveExtraWhitespaces, vocabulary.RemoveExtraWhitespaces);
    }

    /// <summary>Writes a tensor at the file's position, and the padding after it.</summary>
    /// <returns>Largest and mean |w - what is read back|.</returns>
    private static (float Max, double Mean) WriteTensor(FileStream file, ITensorSource source, TensorShape tensor, GgufType type, string path)
    {
        var (handle, offset) = (file.SafeFileHandle, file.Position);
        var error = TensorParts.ForEach(source, tensor, (start, values) =>
        {
            var bytes = ArrayPool<byte>.Shared.Rent((int)type.BytesOf(values.Length));
            var written = bytes.AsSpan(0, (int)type.BytesOf(values.Length));
            if (!type.TryWrite(values, written))
                throw new InvalidDataException($"{path}: not written: {tensor.Name} has a weight that {type.Name} cannot hold: too large, or not a finite number.");
            RandomAccess.Write(handle, written, offset + type.BytesOf(start));
            var loss = type == GgufType.F32 ? default : Loss(values, written, type);
            ArrayPool<byte>.Shared.Return(bytes);
            return loss;
        });
        file.Position = offset + type.BytesOf(tensor.Length);
        Pad(file);
        return error;
    }

    private static (float Max, double Sum) Loss(ReadOnlySpan<float> values, ReadOnlySpan<byte> written, GgufType type)
    {
        var back = ArrayPool<float>.Shared.Rent(values.Length);
        type.TryRead(written, back.AsSpan(0, values.Length));
        var loss = Difference.Of(values, back.AsSpan(0, values.Length));
        ArrayPool<float>.Shared.Return(back);
        return loss;
    }

    private static void Pad(FileStream file) => file.Write(new byte[GgufHeaderWriter.Align(file.Position) - file.Position]);
}
