// Our tokenizer under the name and the methods that other .NET code expects. It adds nothing to Core's but offsets.
using System.Buffers;
using System.Text;
using LlamaFullstack.Core.Tokenization;
using Microsoft.ML.Tokenizers;

namespace LlamaFullstack.MLTokenizers;

/// <summary>A vocabulary as a <see cref="Microsoft.ML.Tokenizers.Tokenizer"/>, with sentencepiece's ids.</summary>
/// <remarks>
/// <para>
/// The vocabulary's own rules on spaces are always applied, whatever the callers say of normalization. Neither BOS nor EOS is added.
/// Offsets are those of the normalized text, which has U+2581 for a space, the one in front of the text included, as in Microsoft's own.
/// </para>
/// <para>
/// A character that is no piece becomes several byte tokens: the last of them has the character's offsets, those before it are empty and lie
/// at its start. So a cut between them never counts a character of which a byte is missing. Safe for use by several threads at once.
/// </para>
/// </remarks>
/// <param name="vocabulary">The vocabulary.</param>
/// <exception cref="InvalidDataException">The vocabulary is not a Llama 2 one.</exception>
public sealed class VocabularyTokenizer(Vocabulary vocabulary) : Microsoft.ML.Tokenizers.Tokenizer
{
    private readonly Core.Tokenization.Tokenizer _tokenizer = new(vocabulary);

    /// <summary>The text of token ids; the space that was put in front of the text is dropped.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is not in the vocabulary.</exception>
    public override string Decode(IEnumerable<int> ids) => _tokenizer.Decode(ids.ToArray());

    /// <summary>Writes the text of token ids, all of it or, where it does not fit, nothing.</summary>
    /// <returns>Done; DestinationTooSmall; InvalidData where an id is not in the vocabulary.</returns>
    public override OperationStatus Decode(IEnumerable<int> ids, Span<char> destination, out int idsConsumed, out int charsWritten)
    {
        (idsConsumed, charsWritten) = (0, 0);
        int[] all = [.. ids];
        if (all.Any(id => (uint)id >= (uint)_tokenizer.VocabSize))
            return OperationStatus.InvalidData;
        var text = _tokenizer.Decode(all);
        if (!text.TryCopyTo(destination))
            return OperationStatus.DestinationTooSmall;
        (idsConsumed, charsWritten) = (all.Length, text.Length);
        return OperationStatus.Done;
    }

    /// <inheritdoc/>
    protected override EncodeResults<EncodedToken> EncodeToTokens(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        var ids = Encode(textSpan);
        var (normalized, offsets) = Locate(ids);
        var tokens = new EncodedToken[Math.Min(ids.Count, settings.MaxTokenCount)];
        for (var i = 0; i < tokens.Length; i++)
            tokens[i] = new EncodedToken(ids[i], _tokenizer.Vocabulary.Pieces[ids[i]].ToString().Replace(' ', Vocabulary.SpaceSymbol), offsets[i]);
        return new EncodeResults<EncodedToken>
        {
            Tokens = tokens,
            NormalizedText = normalized,
            CharsConsumed = tokens.Length == 0 ? 0 : tokens[^1].Offset.End.Value,
        };
    }

    /// <inheritdoc/>
    protected override EncodeResults<int> EncodeToIds(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        if (settings.MaxTokenCount != int.MaxValue)
            return base.EncodeToIds(text, textSpan, settings);
        return new EncodeResults<int> { Tokens = Encode(textSpan), CharsConsumed = textSpan.Length }; // all of the text, so no offset is asked for
    }

    /// <inheritdoc/>
    protected override int CountTokens(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings) =>
        Math.Min(Encode(textSpan).Count, settings.MaxTokenCount);

    private List<int> Encode(ReadOnlySpan<char> text)
    {
        var utf8 = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length));
        var ids = new List<int>();
        _tokenizer.Encode(utf8.AsSpan(0, Encoding.UTF8.GetBytes(text, utf8)), ids);
        ArrayPool<byte>.Shared.Return(utf8);
        return ids;
    }

    // The bytes of all tokens, side by side, are the normalized text; a token ends where the last character that it completes ends.
    private (string Text, Range[] Offsets) Locate(List<int> ids)
    {
        var bytes = new List<byte>();
        var ends = new int[ids.Count];
        for (var i = 0; i < ids.Count; i++)
        {
            bytes.AddRange(_tokenizer.Decode(Vocabulary.Eos, ids[i])); // not after BOS: the space in front stays
            ends[i] = bytes.Count;
        }

        var text = new StringBuilder();
        var offsets = new Range[ids.Count];
        var rest = bytes.ToArray().AsSpan();
        var at = 0; // bytes whose characters are in the text
        for (var i = 0; i < ids.Count; i++)
        {
            var start = text.Length;
            while (at < ends[i])
            {
                Rune.DecodeFromUtf8(rest[at..], out var rune, out var length);
                if (at + length > ends[i])
                    break;
                text.Append(rune.ToString());
                at += length;
            }
            offsets[i] = start..text.Length;
        }
        return (text.Replace(' ', Vocabulary.SpaceSymbol).ToString(), offsets);
    }
}
