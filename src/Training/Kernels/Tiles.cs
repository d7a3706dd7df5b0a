using System.Numerics;

namespace LlamaFullstack.Training.Kernels;

/// <summary>Some tiles of tokens (<see cref="TokenTile{T}"/>) in memory, each (features, tile).</summary>
/// <param name="first">The first one's first feature.</param>
/// <param name="step">From one tile to the next.</param>
internal readonly unsafe struct Tiles<T>(T* first, nint step) where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly T* _first = first;

    /// <summary>From one tile to the next.</summary>
    public nint Step { get; } = step;

    /// <summary>A tile.</summary>
    public T* this[int tile] => _first + tile * Step;

    /// <summary>The tiles from one on.</summary>
    public Tiles<T> From(int tile) => new(this[tile], Step);

    /// <summary>Their features from one on.</summary>
    public Tiles<T> Feature(int feature) => new(_first + (nint)feature * TokenTile<T>.Length, Step);
}
