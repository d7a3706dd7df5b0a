using System.Runtime.InteropServices;

namespace LlamaFullstack.Training.Kernels;

/// <summary>Memory that one thread works in and keeps: it grows to the most that was asked for.</summary>
internal sealed unsafe class ThreadMemory
{
    private const int Line = 64; // bytes of a cache line, and of a register

    private void* _memory;
    private nuint _length;

    ~ThreadMemory() => NativeMemory.AlignedFree(_memory);

    /// <summary>Room for so many values, which holds anything. Valid until the next call.</summary>
    public T* Take<T>(nint count) where T : unmanaged
    {
        var length = (nuint)count * (nuint)sizeof(T);
        if (length > _length)
        {
            NativeMemory.AlignedFree(_memory);
            _memory = null; // where there is no memory for more, the finalizer has nothing left to free
            _length = 0;
            _memory = NativeMemory.AlignedAlloc(length, Line);
            _length = length;
        }
        return (T*)_memory;
    }
}
