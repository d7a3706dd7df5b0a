using LlamaFullstack.Inference.Kernels;

namespace LlamaFullstack.Inference;

/// <summary>What a matrix is multiplied with: float32, and room for the same in int8 where the weights are int8.</summary>
internal sealed unsafe class Activation
{
    /// <summary>An activation whose float32 values lie in memory of the caller's.</summary>
    /// <param name="values">(length).</param>
    /// <param name="length">Width.</param>
    /// <param name="groupSize">The weights' group size; 0 for float32 weights.</param>
    /// <param name="buffers">Gives the room for int8.</param>
    public Activation(float* values, int length, int groupSize, NativeBuffers buffers)
    {
        Values = values;
        if (groupSize == 0)
            return;
        var groups = length / groupSize;
        Int8 = new Int8Vector(buffers.Allocate<sbyte>(length), buffers.Allocate<float>(groups), buffers.Allocate<int>(groups), length, groupSize);
    }

    /// <summary>float32 values.</summary>
    public float* Values { get; }

    /// <summary>The same in int8, after <see cref="WeightMatrix.Prepare(KernelSet, Activation)"/>.</summary>
    public Int8Vector Int8 { get; }
}
