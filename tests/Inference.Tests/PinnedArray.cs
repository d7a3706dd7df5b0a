using System.Runtime.InteropServices;

namespace LlamaFullstack.Inference.Tests;

/// <summary>An array that stays where it is, for kernels that take pointers.</summary>
internal static class PinnedArray
{
    public static T[] Of<T>(int length) where T : unmanaged => GC.AllocateArray<T>(length, pinned: true);

    public static T[] Of<T>(int length, Func<int, T> value) where T : unmanaged
    {
        var array = Of<T>(length);
        for (var i = 0; i < length; i++)
            array[i] = value(i);
        return array;
    }

    public static unsafe T* Pointer<T>(this T[] pinned) where T : unmanaged => (T*)Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0);
}
