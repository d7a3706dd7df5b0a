using System.Text;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Core.Formats;

/// <summary>What a model file says of its training. Only what llama2.c's settings change; sentencepiece has a default for the rest.</summary>
/// <param name="Input">The text that it was trained on, by name.</param>
/// <param name="ModelPrefix">The files' name without its ending.</param>
/// <param name="CharacterCoverage">Share of the text's characters that got a piece of their own.</param>
/// <param name="NumThreads">Threads used.</param>
/// <param name="SplitDigits">Whether each digit stayed a piece of its own.</param>
public sealed record SentencePieceTraining(string Input, string ModelPrefix, float CharacterCoverage, int NumThreads, bool SplitDigits = true);

/// <summary>sentencepiece's .model file: a protobuf message of pieces, trainer settings and text rules.</summary>
/// <remarks>
/// Schema: sentencepiece_model.proto. Pieces are held with spaces, the file has them as U+2581. Everything but the pieces is kept as it was
/// read, so that a file that is read and written again is the same file.
/// </remarks>
public sealed class SentencePieceModel
{
    private const int PiecesField = 1, TrainerSpecField = 2, NormalizerSpecField = 3;
    private const int PieceText = 1, PieceScore = 2, PieceTypeField = 3;
    private const ulong BpeModelType = 2;
    private const int UsualPieceBytes = 15; // Llama 2's; a guess for the number of pieces

    private readonly byte[] _otherFields;

    private SentencePieceModel(Vocabulary vocabulary, byte[] otherFields)
    {
        Vocabulary = vocabulary;
        _otherFields = otherFields;
    }

    /// <summary>The pieces and the rules.</summary>
    public Vocabulary Vocabulary { get; }

    /// <summary>The model of a vocabulary trained with llama2.c's settings, with the fields that Python's sentencepiece writes for them.</summary>
    public static SentencePieceModel Trained(Vocabulary vocabulary, SentencePieceTraining training)
    {
        var trainer = new ProtobufWriter();
        trainer.Text(1, training.Input);
        trainer.Text(2, training.ModelPrefix);
        trainer.Varint(3, BpeModelType);
        trainer.Varint(4, (ulong)vocabulary.Count);
        trainer.Varint(6, 0); // self_test_sample_size
        trainer.Text(7, "text"); // input_format
        trainer.Single(10, training.CharacterCoverage);
        trainer.Varint(16, (ulong)training.NumThreads);
        trainer.Varint(25, training.SplitDigits ? 1u : 0); // split_digits
        trainer.Varint(26, 1); // allow_whitespace_only_pieces
        trainer.Varint(35, 1); // byte_fallback
        trainer.Text(44, @" \342\201\207 "); // unk_surface, the backslashes included

        var normalizer = new ProtobufWriter();
        normalizer.Text(1, "identity");
        normalizer.Bytes(2, []); // precompiled_charsmap
        if (!vocabulary.AddDummyPrefix)
            normalizer.Varint(3, 0);
        if (!vocabulary.RemoveExtraWhitespaces)
            normalizer.Varint(4, 0);

        var other = new ProtobufWriter();
        other.Bytes(TrainerSpecField, trainer.Message);
        other.Bytes(NormalizerSpecField, normalizer.Message);
        return new SentencePieceModel(vocabulary, other.Message.ToArray());
    }

    /// <summary>Reads a model.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, or is not a BPE model with Llama's marks and bytes.</exception>
    public static SentencePieceModel Read(string path)
    {
        var file = InputFile.ReadTokenizer(path);
        ReadOnlySpan<byte> message = file;

        var pieces = new PieceList(file, message.Length / UsualPieceBytes); // the texts move together where they are
        var isBpe = false;
        var addDummyPrefix = true;
        var removeExtraWhitespaces = true;
        var other = new ProtobufWriter();
        var reader = new ProtobufReader(message, path);
        for (var start = 0; reader.Next(); start = reader.Offset)
        {
            if (reader.Field == PiecesField)
            {
                ReadPiece(new ProtobufReader(reader.Bytes, path), pieces, path);
                continue;
            }
            other.Raw(message[start..reader.Offset]);
            var spec = new ProtobufReader(reader.Bytes, path);
            if (reader.Field == TrainerSpecField)
                while (spec.Next())
                    isBpe |= spec is { Field: 3, Varint: BpeModelType };
            if (reader.Field == NormalizerSpecField)
                ReadNormalizer(spec, path, ref addDummyPrefix, ref removeExtraWhitespaces);
        }
        if (pieces.Count == 0)
            throw new InvalidDataException($"{path}: not a sentencepiece model: it has no pieces.");
        if (!isBpe)
            throw new InvalidDataException($"{path}: the model is not of type BPE, the one that Llama uses. Train it with --model_type=bpe.");
        var vocabulary = new Vocabulary { Pieces = pieces, AddDummyPrefix = addDummyPrefix, RemoveExtraWhitespaces = removeExtraWhitespaces };
        return new SentencePieceModel(vocabulary.Validated(path), other.Message.ToArray());
    }

    /// <summary>Writes the model, atomically.</summary>
    public void Write(string path) => AtomicFile.Write(path, Write);

    /// <summary>Writes the model.</summary>
    public void Write(Stream file)
    {
        var message = new ProtobufWriter();
        foreach (var piece in Vocabulary.Pieces)
        {
            var fields = new ProtobufWriter();
            fields.Text(PieceText, Encoding.UTF8.GetString(piece.Text.Span).Replace(' ', Vocabulary.SpaceSymbol));
            fields.Single(PieceScore, piece.Score);
            if (piece.Type != PieceType.Normal)
                fields.Varint(PieceTypeField, (ulong)piece.Type);
            message.Bytes(PiecesField, fields.Message);
        }
        message.Raw(_otherFields);
        file.Write(message.Message);
    }

    private static void ReadPiece(ProtobufReader reader, PieceList pieces, string path)
    {
        ReadOnlySpan<byte> text = default;
        var score = 0f;
        var type = PieceType.Normal;
        while (reader.Next())
        {
            if (reader.Field == PieceText)
                text = reader.Bytes;
            else if (reader.Field == PieceScore)
                score = reader.Single;
            else if (reader.Field == PieceTypeField)
                type = (PieceType)reader.Varint;
        }
        if (type is < PieceType.Normal or > PieceType.Byte)
            throw new InvalidDataException($"{path}: piece {pieces.Count} is of type {(long)type}, which sentencepiece does not have.");
        if (float.IsNaN(score))
            throw new InvalidDataException($"{path}: the score of piece {pieces.Count} is not a number.");
        pieces.Add(WriteWithSpaces(text, pieces.Room), score, type);
    }

    /// <summary>A piece's text as it stands in files, with U+2581 for a space, as the text that it means.</summary>
    internal static byte[] WithSpaces(ReadOnlySpan<byte> text)
    {
        var written = new byte[text.Length];
        return written[..WriteWithSpaces(text, written)];
    }

    private static int WriteWithSpaces(ReadOnlySpan<byte> text, Span<byte> written)
    {
        var length = 0;
        for (int at; (at = text.IndexOf("\u2581"u8)) >= 0; text = text[(at + 3)..])
        {
            text[..at].CopyTo(written[length..]);
            length += at;
            written[length++] = (byte)' ';
        }
        text.CopyTo(written[length..]);
        return length + text.Length;
    }

    private static void ReadNormalizer(ProtobufReader spec, string path, ref bool addDummyPrefix, ref bool removeExtraWhitespaces)
    {
        while (spec.Next())
        {
            if (spec.Field == 2 && spec.Bytes.Length != 0)
                throw new InvalidDataException($"{path}: the model rewrites text before it is encoded (a normalization rule other than identity), which Llama's do not.");
            if (spec.Field == 3)
                addDummyPrefix = spec.Varint != 0;
            if (spec.Field == 4)
                removeExtraWhitespaces = spec.Varint != 0;
        }
    }
}
