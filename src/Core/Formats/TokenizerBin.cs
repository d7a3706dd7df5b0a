using System.Buffers.Binary;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Core.Formats;

/// <summary>llama2.c's tokenizer.bin: the pieces and their scores, with spaces written as spaces. Byte table: docs/FORMATS.md.</summary>
/// <remarks>
/// The file says neither how many pieces it has nor how text is prepared. The number is where the file ends; text is prepared as llama2.c's
/// run does: a dummy prefix, no spaces removed. Types follow from the text: ids 0, 1, 2 are the marks, &lt;0xNN&gt; is a byte.
/// </remarks>
public static class TokenizerBin
{
    private const int EntryHeader = sizeof(float) + sizeof(int);
    private const int UsualPieceBytes = 13; // Llama 2's; a guess for the number of pieces

    /// <summary>Reads a tokenizer.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is not a tokenizer.bin, or it is damaged.</exception>
    public static Vocabulary Read(string path)
    {
        var file = InputFile.ReadTokenizer(path);
        ReadOnlySpan<byte> bytes = file;
        if (bytes.Length < sizeof(int) + EntryHeader)
            throw new InvalidDataException($"{path}: not a llama2.c tokenizer: {bytes.Length:N0} bytes.");
        var maxTokenLength = BinaryPrimitives.ReadUInt32LittleEndian(bytes);

        var pieces = new PieceList(file, bytes.Length / UsualPieceBytes); // the texts move together where they are
        for (var offset = sizeof(uint); offset < bytes.Length;)
        {
            if (bytes.Length - offset < EntryHeader)
                throw new InvalidDataException($"{path}: ends inside token {pieces.Count}. Was it cut short?");
            var score = BinaryPrimitives.ReadSingleLittleEndian(bytes[offset..]);
            var length = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(offset + sizeof(float))..]);
            offset += EntryHeader;
            if (length > maxTokenLength)
                throw new InvalidDataException(
                    $"{path}: not a llama2.c tokenizer, or damaged: token {pieces.Count} is {length:N0} bytes long, but max_token_length is {maxTokenLength:N0}.");
            if (length > bytes.Length - offset)
                throw new InvalidDataException($"{path}: ends inside token {pieces.Count}. Was it cut short?");
            if (float.IsNaN(score))
                throw new InvalidDataException($"{path}: the score of token {pieces.Count} is not a number.");
            AddPiece(pieces, bytes.Slice(offset, (int)length), score);
            offset += (int)length;
        }
        return new Vocabulary { Pieces = pieces }.Validated(path);
    }

    /// <summary>Writes a tokenizer as llama2.c's tokenizer.py does, atomically.</summary>
    public static void Write(string path, Vocabulary vocabulary) => AtomicFile.Write(path, file => Write(file, vocabulary));

    /// <summary>Writes a tokenizer as llama2.c's tokenizer.py does.</summary>
    public static void Write(Stream file, Vocabulary vocabulary)
    {
        var longest = 0;
        for (var id = 0; id < vocabulary.Count; id++)
            longest = Math.Max(longest, StoredText(id, vocabulary.Pieces[id].Text).Length);
        Span<byte> header = stackalloc byte[EntryHeader];
        BinaryPrimitives.WriteInt32LittleEndian(header, longest);
        file.Write(header[..sizeof(int)]);
        for (var id = 0; id < vocabulary.Count; id++)
        {
            var text = StoredText(id, vocabulary.Pieces[id].Text);
            BinaryPrimitives.WriteSingleLittleEndian(header, vocabulary.Pieces[id].Score);
            BinaryPrimitives.WriteInt32LittleEndian(header[sizeof(float)..], text.Length);
            file.Write(header);
            file.Write(text.Span);
        }
    }

    // llama2.c stores the two marks between line feeds, "\n<s>\n", so that run prints them apart.
    private static bool IsMark(int id) => id is Vocabulary.Bos or Vocabulary.Eos;

    private static ReadOnlyMemory<byte> StoredText(int id, ReadOnlyMemory<byte> text) =>
        IsMark(id) ? (byte[])[(byte)'\n', .. text.Span, (byte)'\n'] : text;

    private static void AddPiece(PieceList pieces, ReadOnlySpan<byte> text, float score)
    {
        var id = pieces.Count;
        if (IsMark(id) && text.Length >= 2 && text[0] == (byte)'\n' && text[^1] == (byte)'\n')
            text = text[1..^1];
        var type = id == Vocabulary.Unk ? PieceType.Unknown
            : IsMark(id) ? PieceType.Control
            : Tokenizer.TryParseByte(text, out _) ? PieceType.Byte
            : PieceType.Normal;
        text.CopyTo(pieces.Room);
        pieces.Add(text.Length, score, type);
    }
}
