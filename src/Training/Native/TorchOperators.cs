using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace LlamaFullstack.Training.Native;

/// <summary>
/// libtorch's stable C interface: any operator by its name, where TorchSharp has no method for it, and libtorch's threads. Knows
/// nothing about models.
/// </summary>
/// <remarks>
/// Arguments travel in a stack of 64-bit slots (torch/csrc/stable/c/shim.h, libtorch 2.10): a tensor is a handle that the callee
/// frees, a number its bits, an absent optional 0. TorchSharp's handles are the same at::Tensor pointers.
/// </remarks>
internal static unsafe partial class TorchOperators
{
    private const string Library = "torch_cpu";
    private const ulong AbiVersion = (2UL << 56) | (10UL << 48);

    /// <summary>Whether this libtorch has the interface: 2.10 and later do.</summary>
    public static bool IsAvailable { get; } = Probe();

    /// <summary>Calls an operator. The slots hold its arguments before and its results after.</summary>
    /// <param name="name">a literal such as "aten::mm"u8, which the compiler ends with a zero.</param>
    /// <param name="stack">As many slots as there are arguments, or results if those are more.</param>
    /// <returns>Whether it went well; libtorch says on stderr why not.</returns>
    public static bool TryCall(ReadOnlySpan<byte> name, ulong* stack)
    {
        var none = (byte)0;
        fixed (byte* operatorName = name)
            return CallDispatcher(operatorName, &none, stack, AbiVersion) == 0;
    }

    /// <summary>Where a tensor's values lie: row by row, if it is contiguous.</summary>
    public static T* Data<T>(Tensor tensor) where T : unmanaged
    {
        Check(GetData(tensor.Handle, out var data), "a pointer");
        return (T*)data;
    }

    /// <summary>A slot that holds a tensor.</summary>
    public static ulong Slot(nint tensor)
    {
        Check(NewTensorHandle(tensor, out var handle), "a tensor handle");
        return (ulong)handle;
    }

    /// <summary>A slot that holds a list of tensors.</summary>
    public static ulong ListSlot(IReadOnlyCollection<Tensor> tensors)
    {
        Check(NewList((nuint)tensors.Count, out var list), "a list");
        foreach (var tensor in tensors)
            Check(ListAdd(list, Slot(tensor.Handle)), "a list");
        return (ulong)list;
    }

    /// <summary>A slot that holds a number.</summary>
    public static ulong Slot(double value) => BitConverter.DoubleToUInt64Bits(value);

    /// <summary>A slot that holds a text.</summary>
    public static ulong TextSlot(ReadOnlySpan<byte> text)
    {
        fixed (byte* bytes = text)
        {
            Check(NewString(bytes, (nuint)text.Length, out var handle), "a string");
            return (ulong)handle;
        }
    }

    /// <summary>Throws where a call has failed.</summary>
    public static void Check(bool succeeded, string what)
    {
        if (!succeeded)
            throw new InvalidOperationException($"libtorch could not make {what}; its message stands above.");
    }

    private static void Check(int error, string what) => Check(error == 0, what);

    private static bool Probe()
    {
        try
        {
            return GetAbiVersion() >= AbiVersion;
        }
        catch (Exception e) when (e is EntryPointNotFoundException or DllNotFoundException)
        {
            return false;
        }
    }

    [LibraryImport(Library, EntryPoint = "aoti_torch_abi_version")]
    private static partial ulong GetAbiVersion();

    [LibraryImport(Library, EntryPoint = "aoti_torch_get_data_ptr")]
    private static partial int GetData(nint tensor, out void* data);

    [LibraryImport(Library, EntryPoint = "torch_call_dispatcher")]
    private static partial int CallDispatcher(byte* name, byte* overload, ulong* stack, ulong abiVersion);

    [LibraryImport(Library, EntryPoint = "aoti_torch_new_tensor_handle")]
    private static partial int NewTensorHandle(nint tensor, out nint handle);

    [LibraryImport(Library, EntryPoint = "torch_new_list_reserve_size")]
    private static partial int NewList(nuint size, out nint list);

    [LibraryImport(Library, EntryPoint = "torch_list_push_back")]
    private static partial int ListAdd(nint list, ulong slot);

    [LibraryImport(Library, EntryPoint = "torch_new_string_handle")]
    private static partial int NewString(byte* text, nuint length, out nint handle);
}
