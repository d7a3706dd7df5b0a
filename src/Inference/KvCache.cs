using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using LlamaFullstack.Core;
using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>Keys and values of every position so far, laid out as attention reads them.</summary>
/// <remarks>
/// Keys: (layer, kv head, ceil(seq_len / 16), head_size, 16): sixteen positions side by side, so that a register holds as many scores
/// and no sum runs across it. Values: (layer, kv head, seq_len, head_size). A head's memory is contiguous in both.
/// </remarks>
internal sealed unsafe class KvCache
{
    private readonly int _headSize;
    private readonly int _kvHeads;
    private readonly long _keysPerHead;
    private readonly long _valuesPerHead;
    private readonly float* _keys;
    private readonly float* _values;

    public KvCache(LlamaConfig config, NativeBuffers buffers)
    {
        _headSize = config.HeadSize;
        _kvHeads = config.NKvHeads;
        _keysPerHead = (long)RoundUp(config.MaxSeqLen) * _headSize;
        _valuesPerHead = (long)config.MaxSeqLen * _headSize;
        _keys = buffers.Allocate<float>(config.NLayers * _kvHeads * _keysPerHead);
        _values = buffers.Allocate<float>(config.NLayers * _kvHeads * _valuesPerHead);
    }

    /// <summary>A number of positions in whole key blocks.</summary>
    public static int RoundUp(int positions) => (positions + KernelSet.KeyBlock - 1) / KernelSet.KeyBlock * KernelSet.KeyBlock;

    /// <summary>A head's keys.</summary>
    public float* Keys(int layer, int kvHead) => _keys + ((long)layer * _kvHeads + kvHead) * _keysPerHead;

    /// <summary>A head's values.</summary>
    public float* Values(int layer, int kvHead) => _values + ((long)layer * _kvHeads + kvHead) * _valuesPerHead;

    /// <summary>Keeps one position's keys and values.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="pos">The position.</param>
    /// <param name="k">Keys of all heads, (kv_dim).</param>
    /// <param name="v">Values of all heads, (kv_dim).</param>
    /// <param name="rows">The rows of k and v to keep; they may begin and end inside a head.</param>
    public void Store(int layer, int pos, float* k, float* v, Part rows)
    {
        var keyOffset = (long)(pos / KernelSet.KeyBlock) * KernelSet.KeyBlock * _headSize + pos % KernelSet.KeyBlock;
        var valueOffset = (long)pos * _headSize;
        for (var row = rows.Start; row < rows.End;)
        {
            var (head, i) = (row / _headSize, row % _headSize);
            var keys = Keys(layer, head) + keyOffset;
            var values = Values(layer, head) + valueOffset;
            for (; i < _headSize && row < rows.End; i++, row++)
            {
                keys[i * KernelSet.KeyBlock] = k[row];
                values[i] = v[row];
            }
        }
    }

    /// <summary>Keeps the keys of a tile of tokens.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="pos">The first token's position.</param>
    /// <param name="count">Tokens, 1 to <see cref="KernelSet.Tile"/>.</param>
    /// <param name="k">Those rows of the keys, (rows.Count, Tile).</param>
    /// <param name="rows">Which they are of all heads' rows.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void StoreKeys(int layer, int pos, int count, float* k, Part rows)
    {
        const int Block = KernelSet.KeyBlock;
        for (var row = rows.Start; row < rows.End; row++)
        {
            var (head, i) = (row / _headSize, row % _headSize);
            var key = k + (row - rows.Start) * KernelSet.Tile;
            var keys = Keys(layer, head) + i * Block;
            for (var t = 0; t < count;)
            {
                var at = pos + t;
                var run = Math.Min(Block - at % Block, count - t);
                var to = keys + (long)(at / Block) * Block * _headSize + at % Block;
                if (run == Block)
                    Vector512.Load(key + t).Store(to); // a whole block, as most are
                else
                    new Span<float>(key + t, run).CopyTo(new Span<float>(to, run));
                t += run;
            }
        }
    }

    /// <summary>Keeps the values of a tile of tokens.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="pos">The first token's position.</param>
    /// <param name="count">Tokens, 1 to <see cref="KernelSet.Tile"/>.</param>
    /// <param name="v">Those rows of the values, (rows.Count, Tile).</param>
    /// <param name="rows">Which they are of all heads' rows.</param>
    public void StoreValues(int layer, int pos, int count, float* v, Part rows)
    {
        for (var row = rows.Start; row < rows.End;)
        {
            // As many rows as lie in one head: a token's values fill a whole cache line before the next one's are begun.
            var (head, first) = (row / _headSize, row % _headSize);
            var run = Math.Min(_headSize - first, rows.End - row);
            Transposition.Run(v + (row - rows.Start) * KernelSet.Tile, KernelSet.Tile, Values(layer, head) + (long)pos * _headSize + first, _headSize, run, count);
            row += run;
        }
    }
}
