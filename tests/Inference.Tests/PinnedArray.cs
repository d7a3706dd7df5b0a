using System.Runtime.InteropServices;

namespace LlamaFullstack.Inference.Tests;

/// <summary>An array that stays where it is, for kernels that take pointers.</summary>
internal static class PinnedArray
{
    // A pointer keeps no array alive, and a test may have nothing else of one: so the last arrays of each thread, more than a test has, are kept here.
    private const int Remembered = 1024;

    [ThreadStatic]
    private static Queue<Array>? _last;

    public static T[] Of<T>(int length) where T : unmanaged
    {
        var array = GC.AllocateArray<T>(length, pinned: true);
        var last = _last ??= new Queue<Array>(Remembered);
        if (last.Count == Remembered)
            last.Dequeue();
        last.Enqueue(array);
        return array;
    }

    public static T[] Of<T>(int length, Func<int, T> value) where T : unmanaged
    {
        var array = Of<T>(length);
        for (var i = 0; i < length; i++)
            array[i] = value(i);
        return array;
    }

    public static unsafe T* Pointer<T>(this T[] pinned) where T : unmanaged => (T*)Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0);
}
