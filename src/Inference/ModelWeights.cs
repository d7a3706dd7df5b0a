using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Inference;

/// <summary>Where a model's weights come from, whatever the file's format. Gives the typed views that the forward pass multiplies with.</summary>
internal abstract unsafe class ModelWeights : IDisposable
{
    /// <summary>The file's bytes.</summary>
    public abstract MappedFile Map { get; }

    /// <summary>The model's shape.</summary>
    public abstract LlamaConfig Config { get; }

    /// <summary>Whether the classifier is the embedding.</summary>
    public abstract bool SharedClassifier { get; }

    /// <summary>Weights that share a scale; 0 where all are float32.</summary>
    public abstract int GroupSize { get; }

    /// <summary>A norm's weights, 4-byte aligned.</summary>
    public abstract float* Vector(string name);

    /// <summary>Matrices that multiply one activation: all of one kind, so that it is brought into one form.</summary>
    public abstract WeightMatrix[] Matrices(params ReadOnlySpan<string> names);

    /// <summary>Unmaps the file.</summary>
    public abstract void Dispose();
}
