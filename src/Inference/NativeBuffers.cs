using System.Runtime.InteropServices;

namespace LlamaFullstack.Inference;

/// <summary>Memory outside the garbage collector's reach, aligned to cache lines, freed all at once.</summary>
/// <remarks>Not cleared: a long context's cache costs real memory only where it is written.</remarks>
internal sealed unsafe class NativeBuffers : IDisposable
{
    private const nuint Alignment = 64;

    private readonly List<nint> _blocks = [];

    /// <summary>Bytes given out.</summary>
    public long Bytes { get; private set; }

    /// <summary>Memory for <paramref name="count"/> values.</summary>
    /// <exception cref="OutOfMemoryException">The system has not so much.</exception>
    public T* Allocate<T>(long count) where T : unmanaged
    {
        var bytes = checked(count * sizeof(T));
        var block = NativeMemory.AlignedAlloc((nuint)bytes, Alignment);
        _blocks.Add((nint)block);
        Bytes += bytes;
        return (T*)block;
    }

    /// <summary>Frees everything.</summary>
    public void Dispose()
    {
        foreach (var block in _blocks)
            NativeMemory.AlignedFree((void*)block);
        _blocks.Clear();
    }
}
