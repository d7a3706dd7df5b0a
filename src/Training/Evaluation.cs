using LlamaFullstack.Data.Loading;
using LlamaFullstack.Training.Distributed;
using LlamaFullstack.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaFullstack.Training;

/// <summary>The mean loss of a model over the first batches of a split: the same batches each time, in every run.</summary>
internal static class Evaluation
{
    /// <summary>Seed of the batches' order. Not the run's seed, so that the losses of different runs compare.</summary>
    public const long Seed = 42;

    /// <summary>Evaluates without dropout and without gradients; the model and torch's generator are left as they were.</summary>
    /// <param name="model">The model.</param>
    /// <param name="loader">The split, with <see cref="Seed"/>; read from its beginning.</param>
    /// <param name="batches">How many batches to take, over all ranks.</param>
    /// <param name="device">Where the model lies.</param>
    /// <param name="ranks">Who shares the batches: each rank takes every Size-th.</param>
    /// <param name="cancellation">Stops between batches, on all ranks if on any.</param>
    public static double MeanLoss(Transformer model, BatchLoader loader, int batches, Device device, ProcessGroup ranks, CancellationToken cancellation)
    {
        using var noGrad = no_grad();
        model.eval();
        try
        {
            loader.Seek(0);
            var sum = 0.0;
            for (var i = ranks.Rank; i < batches && !cancellation.IsCancellationRequested; i += ranks.Size)
            {
                using var scope = NewDisposeScope();
                var (tokens, targets) = loader.Next().ToTensors(loader.BatchSize, device);
                sum += model.Loss(tokens, targets).ToDouble();
            }
            if (ranks.AnyStops(cancellation))
                throw new OperationCanceledException(cancellation);
            return ranks.Sum(sum, cancellation) / batches;
        }
        finally
        {
            model.train();
        }
    }

    /// <summary>A batch as torch reads it: two tensors of (batch_size, max_seq_len).</summary>
    public static (Tensor Tokens, Tensor Targets) ToTensors(this Batch batch, int batchSize, Device device)
    {
        long[] shape = [batchSize, batch.Tokens.Length / batchSize];
        return (tensor(batch.Tokens, shape, device: device), tensor(batch.Targets, shape, device: device));
    }
}
