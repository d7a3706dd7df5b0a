using System.Globalization;
using LlamaFullstack.Core;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Export.Sources;

/// <summary>The names of Python that a PyTorch file may use, and what each of them means here. Nothing that is not written below can be reached.</summary>
internal static class TorchGlobals
{
    private static readonly Dictionary<string, object> Known = new(StringComparer.Ordinal)
    {
        ["collections.OrderedDict"] = Function.OrderedDict,
        ["torch.Size"] = Function.Size,
        ["torch.device"] = Function.Device,
        ["torch._utils._rebuild_tensor"] = Function.RebuildTensor,
        ["torch._utils._rebuild_tensor_v2"] = Function.RebuildTensor,
        ["torch._utils._rebuild_tensor_v3"] = Function.RebuildTensorV3,
        ["torch._utils._rebuild_parameter"] = Function.RebuildParameter,
        ["torch._utils._rebuild_parameter_with_state"] = Function.RebuildParameter,

        ["torch.FloatStorage"] = new StorageType(NumberType.Float32),
        ["torch.DoubleStorage"] = new StorageType(NumberType.Float64),
        ["torch.HalfStorage"] = new StorageType(NumberType.Float16),
        ["torch.BFloat16Storage"] = new StorageType(NumberType.BFloat16),
        ["torch.LongStorage"] = new StorageType(NumberType.Int64),
        ["torch.IntStorage"] = new StorageType(NumberType.Int32),
        ["torch.ShortStorage"] = new StorageType(NumberType.Int16),
        ["torch.CharStorage"] = new StorageType(NumberType.Int8),
        ["torch.ByteStorage"] = new StorageType(NumberType.UInt8),
        ["torch.BoolStorage"] = new StorageType(NumberType.Bool),
        ["torch.UntypedStorage"] = new StorageType(null),
        ["torch.storage.UntypedStorage"] = new StorageType(null),

        ["torch.float32"] = NumberType.Float32,
        ["torch.float64"] = NumberType.Float64,
        ["torch.float16"] = NumberType.Float16,
        ["torch.bfloat16"] = NumberType.BFloat16,
        ["torch.int64"] = NumberType.Int64,
        ["torch.int32"] = NumberType.Int32,
        ["torch.int16"] = NumberType.Int16,
        ["torch.int8"] = NumberType.Int8,
        ["torch.uint8"] = NumberType.UInt8,
        ["torch.bool"] = NumberType.Bool,
    };

    private enum Function
    {
        OrderedDict,
        Size,
        Device,
        RebuildTensor,
        RebuildTensorV3,
        RebuildParameter,
    }

    /// <summary>The class of a storage.</summary>
    /// <param name="DType">The type of its values; null where only its tensors know.</param>
    public sealed record StorageType(NumberType? DType);

    /// <summary>What a name stands for.</summary>
    /// <exception cref="InvalidDataException">The name is not on the list.</exception>
    public static object Find(string module, string name) =>
        Known.TryGetValue($"{module}.{name}", out var value)
            ? value
            : throw new InvalidDataException($"it asks Python for {PlainText.Quote($"{module}.{name}")}, which is not one of the names that tensors need, so it is refused");

    /// <summary>What calling a function of the list with these arguments gives.</summary>
    /// <exception cref="InvalidDataException">It is not a function of the list, or the arguments do not fit it.</exception>
    public static object? Call(object? function, object?[] arguments) => (function, arguments) switch
    {
        (Function.OrderedDict, []) => new PickleDict(),
        (Function.Size, [object?[] lengths]) => lengths,
        (Function.Device, [string, ..]) => arguments,

        // (storage, offset, shape, strides, then what only training needs)
        (Function.RebuildTensor, [TorchStorage { DType: { } dtype } storage, long offset, object?[] shape, object?[] strides, ..]) =>
            new TorchTensor(storage, dtype, offset, Numbers(shape), Numbers(strides)),
        (Function.RebuildTensorV3, [TorchStorage storage, long offset, object?[] shape, object?[] strides, _, _, NumberType dtype, ..]) =>
            new TorchTensor(storage, dtype, offset, Numbers(shape), Numbers(strides)),
        (Function.RebuildParameter, [TorchTensor tensor, ..]) => tensor,

        (Function known, _) => throw new InvalidDataException($"the arguments of {known} are not those that PyTorch writes"),
        _ => throw new InvalidDataException("a call of something that is not a function"),
    };

    /// <summary>Puts a pair into a dictionary.</summary>
    /// <exception cref="InvalidDataException">The key is neither text nor a number, or is there already.</exception>
    public static void Add(PickleDict dictionary, object? key, object? value)
    {
        var text = key switch
        {
            string name => name,
            long number => number.ToString(CultureInfo.InvariantCulture),
            _ => throw new InvalidDataException("a key of a dictionary is neither text nor a whole number"),
        };
        if (!dictionary.TryAdd(text, value))
            throw new InvalidDataException($"the key {PlainText.Quote(text)} is in its dictionary twice");
    }

    private static long[] Numbers(object?[] values) =>
        Array.ConvertAll(values, value => value as long? ?? throw new InvalidDataException("a shape or a stride is not a whole number"));
}
