using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace LlamaFullstack.Training.Native;

/// <summary>Lets oneDNN, which is a part of libtorch, compute float32 matrix products where libtorch's own choice, MKL, is slow: on AMD's processors.</summary>
/// <remarks>
/// MKL takes a path without AVX-512 there; oneDNN is 2 to 3 times as fast (docs/LOG.md 2026-11-24). The operator aten::mm, which both
/// directions of every linear layer end in, gets a kernel under a dispatch key that has none and lies just above the processor's own,
/// so autograd, the model and all of its code stay as they are. The choice follows from the processor alone, so that a run gives the
/// same bits every time.
/// </remarks>
internal static unsafe partial class OneDnnProducts
{
    private const string Library = "torch_cpu";
    private const ulong AbiVersion = (2UL << 56) | (10UL << 48);
    private const int Float32 = 6; // c10::ScalarType
    private const int Cpu = 0; // c10::DeviceType

    // Multiplications below which oneDNN's preparation costs more than it gains.
    private const long SmallProduct = 1 << 16;

    /// <summary>Whether float32 products go through oneDNN.</summary>
    public static bool IsInstalled { get; private set; }

    /// <summary>Takes over aten::mm where that pays; called once, after libtorch was loaded.</summary>
    public static void InstallIfFaster()
    {
        if (IsInstalled || !IsAmdWithAvx2() || !TorchOperators.IsAvailable)
            return;
        fixed (byte* space = "aten"u8, key = "BackendSelect"u8, file = "llamafs"u8, name = "mm"u8)
        {
            IsInstalled = NewLibrary(space, key, file, 0, out var library) == 0
                && Implement(library, name, &Multiply, AbiVersion) == 0;
        }
    }

    /// <summary>aten::mm(Tensor a, Tensor b) → Tensor. Owns the handles in its slots.</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(System.Runtime.CompilerServices.CallConvCdecl)])]
    private static void Multiply(ulong* stack, ulong arguments, ulong results)
    {
        var (a, b) = ((nint)stack[0], (nint)stack[1]);
        nint product;
        if (!Suits(a, b) || !TryOneDnn(a, b, out product))
            product = Plain(a, b);
        _ = Delete(a);
        _ = Delete(b);
        stack[0] = (ulong)product;
    }

    private static bool Suits(nint a, nint b)
    {
        _ = GetDevice(a, out var device);
        _ = GetType(a, out var type);
        _ = GetType(b, out var otherType);
        if (device != Cpu || type != Float32 || otherType != Float32)
            return false;
        _ = GetSizes(a, out var left);
        _ = GetSizes(b, out var right);
        return left[1] == right[0] && left[0] * left[1] * right[1] >= SmallProduct;
    }

    /// <summary>a · b as the linear layer of input a and weight bᵀ.</summary>
    private static bool TryOneDnn(nint a, nint b, out nint product)
    {
        product = 0;
        _ = GetSizes(b, out var sizes);
        _ = GetStrides(b, out var strides);
        var transposedSizes = stackalloc long[] { sizes[1], sizes[0] };
        var transposedStrides = stackalloc long[] { strides[1], strides[0] };
        if (Reinterpret(b, 2, transposedSizes, transposedStrides, offsetIncrement: 0, out var weight) != 0)
            return false;
        // _linear_pointwise(Tensor X, Tensor W, Tensor? B, str attr, Scalar?[] scalars, str? algorithm) → Tensor
        var stack = stackalloc ulong[]
        {
            TorchOperators.Slot(a), (ulong)weight, 0, TorchOperators.TextSlot("none"u8), TorchOperators.ListSlot([]), 0,
        };
        if (!TorchOperators.TryCall("mkldnn::_linear_pointwise"u8, stack))
            return false;
        product = (nint)stack[0];
        return true;
    }

    /// <summary>What aten::mm does without us.</summary>
    private static nint Plain(nint a, nint b)
    {
        _ = GetSizes(a, out var left);
        _ = GetSizes(b, out var right);
        _ = GetType(a, out var type);
        _ = GetDevice(a, out var device);
        _ = GetDeviceIndex(a, out var index);
        var sizes = stackalloc long[] { left[0], right[1] };
        var strides = stackalloc long[] { right[1], 1 };
        _ = NewTensor(2, sizes, strides, type, device, index, out var product);
        _ = MultiplyInto(product, a, b);
        return product;
    }

    /// <summary>Whether this is a processor of those on which MKL takes a slow path.</summary>
    private static bool IsAmdWithAvx2()
    {
        if (!Avx2.IsSupported)
            return false;
        var (_, b, c, d) = X86Base.CpuId(0, 0);
        return (b, d, c) == (0x68747541, 0x69746e65, 0x444d4163); // "Auth" "enti" "cAMD"
    }

    [LibraryImport(Library, EntryPoint = "aoti_torch_library_init_impl")]
    private static partial int NewLibrary(byte* space, byte* key, byte* file, uint line, out nint library);

    [LibraryImport(Library, EntryPoint = "torch_library_impl")]
    private static partial int Implement(nint library, byte* name, delegate* unmanaged[Cdecl]<ulong*, ulong, ulong, void> kernel, ulong abiVersion);

    [LibraryImport(Library, EntryPoint = "aoti_torch_delete_tensor_object")]
    private static partial int Delete(nint tensor);

    [LibraryImport(Library, EntryPoint = "aoti_torch_get_sizes")]
    private static partial int GetSizes(nint tensor, out long* sizes);

    [LibraryImport(Library, EntryPoint = "aoti_torch_get_strides")]
    private static partial int GetStrides(nint tensor, out long* strides);

    [LibraryImport(Library, EntryPoint = "aoti_torch_get_dtype")]
    private static partial int GetType(nint tensor, out int type);

    [LibraryImport(Library, EntryPoint = "aoti_torch_get_device_type")]
    private static partial int GetDevice(nint tensor, out int device);

    [LibraryImport(Library, EntryPoint = "aoti_torch_get_device_index")]
    private static partial int GetDeviceIndex(nint tensor, out int index);

    [LibraryImport(Library, EntryPoint = "aoti_torch__reinterpret_tensor")]
    private static partial int Reinterpret(nint tensor, long dims, long* sizes, long* strides, long offsetIncrement, out nint view);

    [LibraryImport(Library, EntryPoint = "aoti_torch_empty_strided")]
    private static partial int NewTensor(long dims, long* sizes, long* strides, int type, int device, int index, out nint tensor);

    [LibraryImport(Library, EntryPoint = "aoti_torch_mm_out")]
    private static partial int MultiplyInto(nint product, nint a, nint b);
}
