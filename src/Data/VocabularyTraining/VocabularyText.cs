// The vocabulary as text, sentencepiece's .vocab: a piece, a tab and its score on each line.
using System.Globalization;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Data.VocabularyTraining;

/// <summary>sentencepiece's .vocab: for people and for comparisons; nothing reads it back.</summary>
public static class VocabularyText
{
    /// <summary>The file's bytes: UTF-8, U+2581 for a space.</summary>
    /// <remarks>A piece that is a tab, a carriage return or the like stands there as it is, as in sentencepiece.</remarks>
    public static byte[] Format(Vocabulary vocabulary)
    {
        var bytes = new MemoryStream();
        foreach (var piece in vocabulary.Pieces)
        {
            foreach (var value in piece.Text.Span)
            {
                if (value == ' ')
                    bytes.Write("\u2581"u8);
                else
                    bytes.WriteByte(value);
            }
            // C++ writes a float with 6 digits: -1e+06 from a million on.
            bytes.Write(System.Text.Encoding.ASCII.GetBytes("\t" + piece.Score.ToString("G6", CultureInfo.InvariantCulture).Replace('E', 'e') + "\n"));
        }
        return bytes.ToArray();
    }
}
