using System.Buffers.Binary;
using LlamaFullstack.Core.Tokenization;
using Microsoft.Win32.SafeHandles;

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
        using var file = InputFile.OpenTokenizer(path, out var length);
        if (length < sizeof(int) + EntryHeader)
            throw new InvalidDataException($"{path}: not a llama2.c tokenizer: {length:N0} bytes.");
        var window = new FileWindow(file, path, length);
        var maxTokenLength = BinaryPrimitives.ReadUInt32LittleEndian(window.Next(sizeof(uint)));

        var pieces = new PieceList(GC.AllocateUninitializedArray<byte>(length), length / UsualPieceBytes); // memory that no text reaches is never touched
        while (window.Left > 0)
        {
            if (window.Left < EntryHeader)
                throw new InvalidDataException($"{path}: ends inside token {pieces.Count}. Was it cut short?");
            var header = window.Next(EntryHeader);
            var score = BinaryPrimitives.ReadSingleLittleEndian(header);
            var textLength = BinaryPrimitives.ReadUInt32LittleEndian(header[sizeof(float)..]);
            if (textLength > maxTokenLength)
                throw new InvalidDataException(
                    $"{path}: not a llama2.c tokenizer, or damaged: token {pieces.Count} is {textLength:N0} bytes long, but max_token_length is {maxTokenLength:N0}.");
            if (textLength > window.Left)
                throw new InvalidDataException($"{path}: ends inside token {pieces.Count}. Was it cut short?");
            if (float.IsNaN(score))
                throw new InvalidDataException($"{path}: the score of token {pieces.Count} is not a number.");
            AddPiece(pieces, window.Next((int)textLength), score);
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

    /// <summary>The next bytes of a file, of which a part is held: the whole would be half of the memory that a vocabulary takes.</summary>
    private sealed class FileWindow(SafeFileHandle file, string path, int length)
    {
        private byte[] _bytes = new byte[Math.Min(length, 1 << 14)];
        private int _start;
        private int _end;
        private long _read;

        /// <summary>Bytes that are still to come.</summary>
        public int Left { get; private set; } = length;

        /// <summary>The next bytes, no more than are left; valid until the next call.</summary>
        public ReadOnlySpan<byte> Next(int count)
        {
            if (count > _end - _start)
                Refill(count);
            _start += count;
            Left -= count;
            return _bytes.AsSpan(_start - count, count);
        }

        private void Refill(int count)
        {
            var rest = _bytes.AsSpan(_start, _end - _start);
            if (count > _bytes.Length)
                _bytes = new byte[count];
            rest.CopyTo(_bytes);
            (_start, _end) = (0, Math.Min(_bytes.Length, Left));
            InputFile.Read(file, path, _read, _bytes.AsSpan(rest.Length, _end - rest.Length));
            _read += _end - rest.Length;
        }
    }
}
