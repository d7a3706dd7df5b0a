using TorchSharp.Modules;
using static TorchSharp.torch;
using Transformer = LlamaFullstack.Training.Model.Transformer;

namespace LlamaFullstack.Training.Distributed;

/// <summary>
/// A model's gradients in blocks of memory, in the order in which the backward pass completes them, so that each block is
/// summed over the ranks while the pass still works on the next: a layer each, or several small ones.
/// </summary>
/// <remarks>
/// The gradients of the parameters are views of the blocks, as in PyTorch's DistributedDataParallel with gradient_as_bucket_view: nothing
/// is copied. Layers are complete from the last to the first; the embedding, which is the classifier too, only at the very end.
/// </remarks>
internal sealed class GradientBuckets : IDisposable
{
    // At least: a millisecond at 10 Gbit/s, where latency is some hundredths of one. PyTorch's 25 MB would be all layers of the 15M model, summed when none is left to hide it.
    private const long BucketBytes = 1 << 20;

    private readonly ProcessGroup _ranks;
    private readonly List<Bucket> _buckets = [];
    private int _begun;
    private bool _isLast; // micro-batch of the update

    /// <summary>Makes the blocks, for a model that every rank holds.</summary>
    public GradientBuckets(Transformer model, ProcessGroup ranks)
    {
        _ranks = ranks;
        model.BackwardReached = layer => BeginThrough(layer);
        var left = new List<Parameter>();
        for (var layer = model.Config.NLayers - 1; layer >= 0; layer--)
        {
            left.AddRange(model.Parameters.Where(entry => entry.Key.StartsWith($"layers.{layer}.", StringComparison.Ordinal)).Select(entry => entry.Value));
            if (left.Sum(parameter => parameter.numel()) * sizeof(float) >= BucketBytes)
            {
                _buckets.Add(new Bucket(left, layer));
                left = [];
            }
        }
        left.AddRange(model.Parameters.Where(entry => !entry.Key.StartsWith("layers.", StringComparison.Ordinal)).Select(entry => entry.Value));
        _buckets.Add(new Bucket(left, CompleteAtLayer: -1));
    }

    /// <summary>Sets all gradients to 0, before the first micro-batch of an update.</summary>
    public void Clear()
    {
        foreach (var bucket in _buckets)
            bucket.Attach();
    }

    /// <summary>Runs the backward pass of an update's last micro-batch: on return the gradients are the sums over all ranks.</summary>
    /// <exception cref="IOException">Another rank does not answer.</exception>
    public void BackwardAndSum(Tensor loss, CancellationToken cancellation)
    {
        (_begun, _isLast) = (0, true);
        loss.backward();
        BeginThrough(layer: -1);
        _isLast = false;
        _ranks.Finish(cancellation);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var bucket in _buckets)
            bucket.Dispose();
    }

    /// <summary>Begins the sums of every block that is complete once the backward pass has left a layer.</summary>
    private void BeginThrough(int layer)
    {
        while (_isLast && _begun < _buckets.Count && _buckets[_begun].CompleteAtLayer >= layer)
            _ranks.BeginSum(_buckets[_begun++].Values);
    }

    /// <summary>One block.</summary>
    /// <param name="Parameters">Whose gradients it holds.</param>
    /// <param name="CompleteAtLayer">The lowest of their layers; -1 is the end of the backward pass.</param>
    private sealed record Bucket(IReadOnlyList<Parameter> Parameters, int CompleteAtLayer) : IDisposable
    {
        public Tensor Values { get; } = zeros(Parameters.Sum(parameter => parameter.numel()), dtype: ScalarType.Float32, device: Parameters[0].device)
            .DetachFromDisposeScope();

        public void Attach()
        {
            Values.zero_();
            var offset = 0L;
            foreach (var parameter in Parameters)
            {
                using var flat = Values.narrow(0, offset, parameter.numel());
                parameter.grad = flat.view(parameter.shape);
                offset += parameter.numel();
            }
        }

        public void Dispose() => Values.Dispose();
    }
}
