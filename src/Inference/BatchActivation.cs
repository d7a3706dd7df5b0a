using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>Activations of a batch of tokens, in tiles of tokens side by side: float32, and room for the same in int8.</summary>
internal sealed unsafe class BatchActivation
{
    private readonly float* _values;    // (tiles, length, Tile)
    private readonly short* _int8;      // (tiles, length, Tile): int16, or int8 in the first half of each tile's
    private readonly float* _scales;    // (tiles, groups, Tile)
    private readonly int* _sums;        // (tiles, groups, Tile)
    private readonly int _length;
    private readonly int _groupSize;

    /// <summary>Allocates.</summary>
    /// <param name="tiles">Tiles of <see cref="KernelSet.Tile"/> tokens.</param>
    /// <param name="length">Features.</param>
    /// <param name="groupSize">The group size of the weights that multiply it; 0 where they are float32, or nothing multiplies it.</param>
    /// <param name="buffers">Gives the memory.</param>
    public BatchActivation(int tiles, int length, int groupSize, NativeBuffers buffers)
    {
        _length = length;
        _groupSize = groupSize;
        _values = buffers.Allocate<float>((long)tiles * length * KernelSet.Tile);
        if (groupSize == 0)
            return;
        var groups = (long)tiles * (length / groupSize) * KernelSet.Tile;
        _int8 = buffers.Allocate<short>((long)tiles * length * KernelSet.Tile);
        _scales = buffers.Allocate<float>(groups);
        _sums = buffers.Allocate<int>(groups);
    }

    /// <summary>A tile from a feature on: (length − feature, Tile).</summary>
    public float* Values(int tile, int feature = 0) => _values + ((long)tile * _length + feature) * KernelSet.Tile;

    /// <summary>A tile in int8, once it has been prepared.</summary>
    public Int8Tile Int8(int tile)
    {
        var groups = (long)tile * (_length / _groupSize) * KernelSet.Tile;
        return new Int8Tile((sbyte*)(_int8 + (long)tile * _length * KernelSet.Tile), _scales + groups, _sums + groups, _length, _groupSize);
    }
}
