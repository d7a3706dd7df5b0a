using System.Buffers;
using System.Text;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>Turns the bytes of tokens, one after the other, into text that can be shown at once: whole UTF-8 characters only.</summary>
/// <remarks>
/// A character whose bytes come in several tokens (an emoji in four) is held back until it is whole. Bytes that can no longer become
/// a character are shown as U+FFFD. Control characters that are not white space are dropped, as in llama2.c, so that a model cannot
/// drive the terminal. Nothing is allocated after construction.
/// </remarks>
public sealed class Utf8Stream
{
    private static readonly byte[] Replacement = [0xEF, 0xBF, 0xBD];

    private readonly byte[] _held = new byte[4]; // an incomplete character: at most 3 bytes
    private int _heldCount;
    private byte[] _output = new byte[256];
    private int _outputCount;

    /// <summary>Takes the bytes of one token.</summary>
    /// <returns>The text that is complete by now, valid until the next call; often all of it, sometimes nothing.</returns>
    public ReadOnlySpan<byte> Push(ReadOnlySpan<byte> bytes)
    {
        _outputCount = 0;
        foreach (var b in bytes)
            PushByte(b);
        return _output.AsSpan(0, _outputCount);
    }

    /// <summary>Ends the text.</summary>
    /// <returns>U+FFFD if a character was left incomplete, else nothing.</returns>
    public ReadOnlySpan<byte> Flush()
    {
        _outputCount = 0;
        if (_heldCount > 0)
            Emit(Replacement);
        _heldCount = 0;
        return _output.AsSpan(0, _outputCount);
    }

    private void PushByte(byte b)
    {
        _held[_heldCount++] = b;
        while (_heldCount > 0)
        {
            var status = Rune.DecodeFromUtf8(_held.AsSpan(0, _heldCount), out var rune, out var consumed);
            if (status == OperationStatus.NeedMoreData)
                return;
            if (status == OperationStatus.Done)
            {
                if (!Rune.IsControl(rune) || rune.Value is >= '\t' and <= '\r')
                    Emit(_held.AsSpan(0, consumed));
            }
            else
            {
                Emit(Replacement);
            }
            _heldCount -= consumed;
            _held.AsSpan(consumed, _heldCount).CopyTo(_held);
        }
    }

    private void Emit(ReadOnlySpan<byte> character)
    {
        if (_outputCount + character.Length > _output.Length)
            Array.Resize(ref _output, _output.Length * 2);
        character.CopyTo(_output.AsSpan(_outputCount));
        _outputCount += character.Length;
    }
}
