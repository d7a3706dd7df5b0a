using System.Buffers.Binary;
using System.Text;

namespace LlamaFullstack.Export.Tests;

/// <summary>Writes pickles opcode by opcode, the hostile ones too. Opcodes: CPython's Lib/pickletools.py.</summary>
internal sealed class Pickle
{
    private readonly List<byte> _bytes = [0x80, 2];

    public Pickle Op(char opcode) => Raw((byte)opcode);

    public Pickle Raw(params ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public Pickle Mark() => Op('(');

    public Pickle Tuple() => Op('t');

    public Pickle Dict() => Op('}');

    public Pickle SetItems() => Op('u');

    public Pickle Global(string module, string name) => Op('c').Raw(Encoding.UTF8.GetBytes($"{module}\n{name}\n"));

    public Pickle Text(string text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        return Op('X').Raw(BitConverter.GetBytes(utf8.Length)).Raw(utf8);
    }

    public Pickle Number(long value) => Raw(0x8a, 8).Raw(BitConverter.GetBytes(value));

    public Pickle Numbers(params long[] values)
    {
        Mark();
        foreach (var value in values)
            Number(value);
        return Tuple();
    }

    public Pickle Storage(string type, string key, long count) =>
        Mark().Text("storage").Global("torch", type).Text(key).Text("cpu").Number(count).Tuple().Op('Q');

    public Pickle Tensor(string type, string key, long count, long offset, long[] shape, long[] strides) =>
        Global("torch._utils", "_rebuild_tensor_v2").Mark().Storage(type, key, count).Number(offset).Numbers(shape).Numbers(strides)
            .Raw(0x89).Global("collections", "OrderedDict").Op(')').Op('R').Tuple().Op('R');

    public byte[] Stop() => [.. _bytes, (byte)'.'];
}

/// <summary>Writes zip archives as torch.save does: files stored one after the other, then the directory.</summary>
internal sealed class TorchZip
{
    private readonly List<byte> _files = [];
    private readonly List<byte> _directory = [];
    private ushort _count;

    /// <summary>Adds a file; the optional arguments are lies for the directory to tell.</summary>
    public TorchZip Add(string name, byte[] content, ushort method = 0, ushort flags = 0, uint? size = null, uint? offset = null)
    {
        var utf8 = Encoding.UTF8.GetBytes(name);
        var start = (uint)_files.Count;
        _files.AddRange(Header(0x04034b50, 30, [(26, (ushort)utf8.Length)], []));
        _files.AddRange(utf8);
        _files.AddRange(content);
        _directory.AddRange(Header(0x02014b50, 46, [(8, flags), (10, method), (28, (ushort)utf8.Length)],
            [(20, (uint)content.Length), (24, size ?? (uint)content.Length), (42, offset ?? start)]));
        _directory.AddRange(utf8);
        _count++;
        return this;
    }

    public byte[] ToArray()
    {
        var end = Header(0x06054b50, 22, [(8, _count), (10, _count)], [(12, (uint)_directory.Count), (16, (uint)_files.Count)]);
        return [.. _files, .. _directory, .. end];
    }

    /// <summary>An archive of a pickle and float32 storages "0", "1", ….</summary>
    public static byte[] Save(byte[] pickle, params float[][] storages)
    {
        var zip = new TorchZip().Add("test/data.pkl", pickle);
        for (var i = 0; i < storages.Length; i++)
            zip.Add($"test/data/{i}", [.. storages[i].SelectMany(BitConverter.GetBytes)]);
        return zip.Add("test/version", "3\n"u8.ToArray()).ToArray();
    }

    private static byte[] Header(uint signature, int length, (int At, ushort Value)[] shorts, (int At, uint Value)[] ints)
    {
        var header = new byte[length];
        BinaryPrimitives.WriteUInt32LittleEndian(header, signature);
        foreach (var (at, value) in shorts)
            BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(at), value);
        foreach (var (at, value) in ints)
            BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(at), value);
        return header;
    }
}
