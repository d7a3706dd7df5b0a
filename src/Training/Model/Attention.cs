using LlamaFullstack.Core;
using TorchSharp;
using TorchSharp.Utils;
using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace LlamaFullstack.Training.Model;

/// <summary>
/// Causal self-attention: each token asks (q) every token up to itself (k) and takes the mean of their values (v), weighted by
/// softmax(q · k / sqrt(head_size)). With fewer key heads than query heads, neighbouring query heads share one (grouped-query attention).
/// </summary>
internal sealed class Attention : nn.Module
{
    // libtorch's products over fewer features are 4 times slower on a CPU (docs/LOG.md 2026-11-24).
    private const int FastHeadSize = 16;

    private readonly LlamaConfig _config;
    private readonly Rope _rope;
    private readonly double _dropout;
    [ComponentName(Name = "wq")]
    private readonly Linear _wq;
    [ComponentName(Name = "wk")]
    private readonly Linear _wk;
    [ComponentName(Name = "wv")]
    private readonly Linear _wv;
    [ComponentName(Name = "wo")]
    private readonly Linear _wo;

    public Attention(LlamaConfig config, Rope rope, double dropout, ModelPlacement placement)
        : base(nameof(Attention))
    {
        _config = config;
        _rope = rope;
        _dropout = dropout;
        _wq = new Linear(config.Dim, config.Dim, Transformer.InitStd, placement);
        _wk = new Linear(config.Dim, config.KvDim, Transformer.InitStd, placement);
        _wv = new Linear(config.Dim, config.KvDim, Transformer.InitStd, placement);
        _wo = new Linear(config.Dim, config.Dim, Transformer.ResidualInitStd(config), placement);
        RegisterComponents();
    }

    /// <param name="x">(batch, time, dim).</param>
    /// <param name="layer">Which layer's part of the cache is ours.</param>
    /// <param name="cache">The keys and values of earlier tokens, to which ours are added; null to start at position 0 and keep none.</param>
    /// <returns>(batch, time, dim).</returns>
    public Tensor Forward(Tensor x, int layer, KvCache? cache)
    {
        var (batch, time) = (x.shape[0], x.shape[1]);
        var position = cache?.Position ?? 0;

        var q = _rope.Rotate(_wq.forward(x).view(batch, time, _config.NHeads, _config.HeadSize), position);
        var k = _rope.Rotate(_wk.forward(x).view(batch, time, _config.NKvHeads, _config.HeadSize), position);
        var v = _wv.forward(x).view(batch, time, _config.NKvHeads, _config.HeadSize);
        if (cache is not null)
            (k, v) = cache.Append(layer, k, v);

        var attended = Attend(q.transpose(1, 2), ForEveryQueryHead(k).transpose(1, 2), ForEveryQueryHead(v).transpose(1, 2), position, isGenerating: cache is not null);

        var heads = attended.transpose(1, 2).reshape(batch, time, _config.Dim);
        return dropout(_wo.forward(heads), _dropout, training);
    }

    /// <summary>softmax(q · kᵀ / sqrt(head_size)) · v, each query seeing the keys up to its own position.</summary>
    private Tensor Attend(Tensor q, Tensor k, Tensor v, int position, bool isGenerating)
    {
        var (time, headSize) = (q.shape[2], q.shape[3]);
        if (headSize < FastHeadSize && q.device.type == DeviceType.CPU && !isGenerating)
        {
            // Zeros change no product; the factor makes up for the head_size that is divided by, at the
            // cost of a rounding, which generation, where the speed does not matter, does without.
            q = pad(q * Math.Sqrt((double)FastHeadSize / headSize), [0, FastHeadSize - headSize]);
            k = pad(k, [0, FastHeadSize - headSize]);
            v = pad(v, [0, FastHeadSize - headSize]);
        }
        // Without earlier tokens the mask is the plain triangle, for which there is a faster path; a single token sees everything.
        var mask = position > 0 && time > 1 ? ones(time, position + time, dtype: ScalarType.Bool, device: q.device).tril(position) : null;
        return scaled_dot_product_attention(q, k, v, attn_mask: mask, p: training ? _dropout : 0, is_casual: position == 0)
            .narrow(-1, 0, headSize);
    }

    /// <summary>(batch, time, kv heads, head_size) to (batch, time, heads, head_size): query head h uses key head h / (heads / kv heads).</summary>
    private Tensor ForEveryQueryHead(Tensor x)
    {
        var shared = _config.NHeads / _config.NKvHeads;
        return shared == 1 ? x : x.unsqueeze(3).expand(-1, -1, -1, shared, -1).flatten(2, 3);
    }
}
