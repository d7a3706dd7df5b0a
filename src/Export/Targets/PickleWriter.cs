using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace LlamaFullstack.Export.Targets;

/// <summary>Writes a pickle of protocol 2 as Python's torch.load reads it, with weights_only, too. Opcodes: CPython's Lib/pickletools.py.</summary>
/// <remarks>Nothing is remembered and recalled, so that each value stands where it is used.</remarks>
internal sealed class PickleWriter
{
    private readonly ArrayBufferWriter<byte> _bytes = new();

    public PickleWriter() => Op(0x80, 2); // PROTO

    /// <summary>The pickle, ended.</summary>
    public byte[] ToArray() => [.. _bytes.WrittenSpan, (byte)'.'];

    /// <summary>A dictionary; <paramref name="writeItems"/> writes each key and its value.</summary>
    public void Dictionary(Action writeItems)
    {
        Op((byte)'}', (byte)'(');
        writeItems();
        Op((byte)'u');
    }

    /// <summary>A tuple of what <paramref name="writeItems"/> writes.</summary>
    public void Tuple(Action writeItems)
    {
        Op((byte)'(');
        writeItems();
        Op((byte)'t');
    }

    /// <summary>Text.</summary>
    public void Text(string text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        Op((byte)'X');
        BinaryPrimitives.WriteInt32LittleEndian(_bytes.GetSpan(sizeof(int)), utf8.Length);
        _bytes.Advance(sizeof(int));
        _bytes.Write(utf8);
    }

    /// <summary>A whole number.</summary>
    public void Number(long value)
    {
        if (value is >= int.MinValue and <= int.MaxValue)
        {
            Op((byte)'J');
            BinaryPrimitives.WriteInt32LittleEndian(_bytes.GetSpan(sizeof(int)), (int)value);
            _bytes.Advance(sizeof(int));
            return;
        }
        Op(0x8a, sizeof(long)); // LONG1
        BinaryPrimitives.WriteInt64LittleEndian(_bytes.GetSpan(sizeof(long)), value);
        _bytes.Advance(sizeof(long));
    }

    /// <summary>A fraction, which weights_only reads since PyTorch 2.0.</summary>
    public void Fraction(double value)
    {
        Op((byte)'G');
        BinaryPrimitives.WriteDoubleBigEndian(_bytes.GetSpan(sizeof(double)), value);
        _bytes.Advance(sizeof(double));
    }

    /// <summary>A tensor that is a whole storage, row by row.</summary>
    /// <param name="storageClass">Such as FloatStorage.</param>
    /// <param name="key">The storage's file in the archive.</param>
    /// <param name="shape">Its dimensions.</param>
    public void Tensor(string storageClass, string key, IReadOnlyList<long> shape)
    {
        Global("torch._utils", "_rebuild_tensor_v2");
        Tuple(() =>
        {
            Tuple(() =>
            {
                Text("storage");
                Global("torch", storageClass);
                Text(key);
                Text("cpu");
                Number(shape.Aggregate(1L, (product, length) => product * length));
            });
            Op((byte)'Q'); // BINPERSID
            Number(0); // offset
            Tuple(() => WriteNumbers(shape));
            Tuple(() => WriteNumbers(shape.Count == 1 ? [1] : [shape[1], 1])); // strides
            Op(0x89); // requires no gradient
            Global("collections", "OrderedDict"); // no hooks
            Op((byte)')', (byte)'R');
        });
        Op((byte)'R');
    }

    private void WriteNumbers(IReadOnlyList<long> values)
    {
        foreach (var value in values)
            Number(value);
    }

    private void Global(string module, string name)
    {
        Op((byte)'c');
        _bytes.Write(Encoding.UTF8.GetBytes($"{module}\n{name}\n"));
    }

    private void Op(params ReadOnlySpan<byte> bytes) => _bytes.Write(bytes);
}
