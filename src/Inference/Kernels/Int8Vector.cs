namespace LlamaFullstack.Inference.Kernels;

/// <summary>Activations in int8: x ≈ q · scale, one scale for each group.</summary>
internal readonly unsafe struct Int8Vector(sbyte* values, float* scales, int* sums, int length, int groupSize)
{
    /// <summary>q, (length).</summary>
    public sbyte* Values { get; } = values;

    /// <summary>(groups).</summary>
    public float* Scales { get; } = scales;

    /// <summary>Σ q of each group, (groups): what products with unsigned weights are corrected by.</summary>
    public int* Sums { get; } = sums;

    /// <summary>Number of values: whole groups.</summary>
    public int Length { get; } = length;

    /// <summary>Values that share a scale.</summary>
    public int GroupSize { get; } = groupSize;

    /// <summary>Number of groups.</summary>
    public int Groups { get; } = length / groupSize;
}
