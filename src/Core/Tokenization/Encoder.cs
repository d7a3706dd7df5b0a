using System.Runtime.InteropServices;

namespace LlamaFullstack.Core.Tokenization;

/// <summary>Encodes prepared text: cuts it where no piece can reach across, and merges each stretch by itself, or takes it from the cache.</summary>
/// <remarks>Not for use by two threads at once; <see cref="Tokenizer"/> has one for each caller.</remarks>
internal sealed class Encoder(PieceTable table, int[] byteIds, JoinTable joins)
{
    private readonly PairMerger _merger = new(table, byteIds);
    private readonly WordCache _cache = new();
    private byte[] _buffer = [];

    /// <summary>A buffer for the text while it is prepared, at least this long.</summary>
    public Span<byte> Buffer(int length)
    {
        if (_buffer.Length < length)
            _buffer = new byte[Math.Max(length, 2 * _buffer.Length)];
        return _buffer;
    }

    /// <summary>Appends the ids of a text.</summary>
    public void Encode(ReadOnlySpan<byte> text, List<int> ids)
    {
        while (!text.IsEmpty)
        {
            var stretch = text[..joins.StretchLength(text)];
            text = text[stretch.Length..];
            if (!WordCache.Fits(stretch))
            {
                _merger.Encode(stretch, ids);
            }
            else if (!_cache.TryGet(stretch, ids))
            {
                var before = ids.Count;
                _merger.Encode(stretch, ids);
                _cache.Add(stretch, CollectionsMarshal.AsSpan(ids)[before..]);
            }
        }
    }
}
