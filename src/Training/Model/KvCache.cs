using LlamaFullstack.Core;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Model;

/// <summary>The keys and values of the tokens read so far, so that generation computes each token once. Allocated once, for one sequence.</summary>
public sealed class KvCache : IDisposable
{
    private readonly Tensor[] _keys; // a layer each: (1, max_seq_len, kv heads, head_size)
    private readonly Tensor[] _values;

    internal KvCache(LlamaConfig config, ModelPlacement placement)
    {
        Tensor Allocate(int layer) =>
            empty(1, config.MaxSeqLen, config.NKvHeads, config.HeadSize, dtype: placement.Products, device: placement.Device).DetachFromDisposeScope();
        _keys = [.. Enumerable.Range(0, config.NLayers).Select(Allocate)];
        _values = [.. Enumerable.Range(0, config.NLayers).Select(Allocate)];
    }

    /// <summary>Number of tokens read: the position of the next one.</summary>
    public int Position { get; private set; }

    /// <summary>Forgets every token.</summary>
    public void Clear() => Position = 0;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in _keys.Concat(_values))
            tensor.Dispose();
    }

    /// <summary>Keeps the keys and values (1, time, kv heads, head_size) of new tokens and returns those of all tokens.</summary>
    internal (Tensor Keys, Tensor Values) Append(int layer, Tensor keys, Tensor values)
    {
        var time = keys.shape[1];
        _keys[layer].narrow(1, Position, time).copy_(keys);
        _values[layer].narrow(1, Position, time).copy_(values);
        return (_keys[layer].narrow(1, 0, Position + time), _values[layer].narrow(1, 0, Position + time));
    }

    /// <summary>Every layer has appended the same tokens.</summary>
    internal void Advance(int tokens) => Position += tokens;
}
