namespace LlamaFullstack.Inference.Kernels;

/// <summary>Activations of <see cref="KernelSet.Tile"/> tokens in int8, side by side, four features of a token together: x ≈ q · scale.</summary>
internal readonly unsafe struct Int8Tile(sbyte* values, float* scales, int* sums, int length, int groupSize)
{
    /// <summary>q, (length / 4, Tile, 4): what a product of four bytes takes at once. Where the set multiplies int16, as such, (length / 2, Tile, 2).</summary>
    public sbyte* Values { get; } = values;

    /// <summary>(groups, Tile).</summary>
    public float* Scales { get; } = scales;

    /// <summary>Σ q of each group, (groups, Tile).</summary>
    public int* Sums { get; } = sums;

    /// <summary>Features: whole groups.</summary>
    public int Length { get; } = length;

    /// <summary>Features that share a scale: a multiple of 4.</summary>
    public int GroupSize { get; } = groupSize;

    /// <summary>Number of groups.</summary>
    public int Groups { get; } = length / groupSize;
}
