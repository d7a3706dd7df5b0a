using System.Buffers;
using System.Runtime.InteropServices;

namespace LlamaFullstack.Core.Formats;

/// <summary>A tensor in a GGUF file.</summary>
/// <param name="Name">Its name there.</param>
/// <param name="Type">How its values are held.</param>
/// <param name="Shape">Its dimensions as here, rows first: GGUF writes them the other way round.</param>
/// <param name="Offset">Byte offset of its first block in the file.</param>
/// <param name="ByteLength">Its size.</param>
public sealed record GgufTensor(string Name, GgufType Type, IReadOnlyList<long> Shape, long Offset, long ByteLength);

/// <summary>A GGUF file, mapped: metadata and tensors by name. Knows the container, not what the model is.</summary>
/// <remarks>
/// Format: ggml's docs/gguf.md, versions 2 and 3. Checked as strictly as llama.cpp does and more: the tensors lie one after the other, each on
/// the alignment, and fill the file; no name stands twice; each size follows from its type and shape. Byte table: docs/FORMATS.md.
/// </remarks>
public sealed class GgufFile : IDisposable
{
    /// <summary>"GGUF" as a little-endian number.</summary>
    public const uint Magic = 0x46554747;

    /// <summary>The alignment of tensors where the file does not say another.</summary>
    public const int DefaultAlignment = 32;

    /// <summary>The metadata that says the alignment.</summary>
    public const string AlignmentKey = "general.alignment";

    /// <summary>Bytes that a tensor's name may have: ggml's bound is 64 with the zero after it.</summary>
    public const int MaxNameLength = 63;

    private const int MaxDimensions = 4;
    private const int MaxTensors = 1 << 16;
    private const int MaxAlignment = 1 << 16;

    // name's length; number of dimensions and one of them; type; offset.
    private const int LeastTensorBytes = sizeof(ulong) + sizeof(uint) + sizeof(ulong) + sizeof(uint) + sizeof(ulong);

    private readonly Dictionary<string, GgufTensor> _tensors = new(StringComparer.Ordinal);

    private GgufFile(MappedFile map)
    {
        Map = map;
        var cursor = new GgufCursor(map);
        if (cursor.Read<uint>("the magic") != Magic)
            throw cursor.Damaged("it does not begin with \"GGUF\"");
        Version = cursor.Read<uint>("the version");
        if (Version is not (2 or 3))
            throw new InvalidDataException($"{map.Path}: {((Version & 0xFFFF) == 0 ? "a big-endian GGUF file; convert it to little-endian" : $"GGUF version {Version} is not known; versions 2 and 3 are")}.");
        var tensorCount = cursor.Count("tensors", LeastTensorBytes, MaxTensors);
        var valueCount = cursor.Count("metadata values", GgufMetadata.LeastBytesOfOne, GgufMetadata.MaxCount);
        Metadata = new GgufMetadata(map, cursor, valueCount);
        Alignment = Metadata.Whole(AlignmentKey) ?? DefaultAlignment;
        if (Alignment is < 8 or > MaxAlignment || !int.IsPow2(Alignment))
            throw cursor.Damaged($"{AlignmentKey} {Alignment} must be a power of two between 8 and {MaxAlignment}");
        ReadTensors(cursor, tensorCount);
    }

    /// <summary>The file's bytes.</summary>
    public MappedFile Map { get; }

    /// <summary>2 or 3.</summary>
    public uint Version { get; }

    /// <summary>What the file says of its model.</summary>
    public GgufMetadata Metadata { get; }

    /// <summary>Bytes; every tensor begins at a multiple of this, counted from the first.</summary>
    public int Alignment { get; }

    /// <summary>The tensors, in the order of the file.</summary>
    public IReadOnlyCollection<GgufTensor> Tensors => _tensors.Values;

    /// <summary>Whether a file begins like one of these.</summary>
    public static bool Recognises(MappedFile map) => map.Length >= sizeof(uint) && map.Read<uint>(0) == Magic;

    /// <summary>Whether a path is a file that begins like one of these.</summary>
    public static bool Recognises(string path)
    {
        if (!File.Exists(path) || new FileInfo(path).Length < sizeof(uint))
            return false;
        using var file = InputFile.Open(path, out _);
        uint magic = 0;
        InputFile.Read(file, path, 0, MemoryMarshal.AsBytes(new Span<uint>(ref magic)));
        return magic == Magic;
    }

    /// <summary>Maps a file and checks its header.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is not a GGUF file, is damaged, or holds a tensor of a type that is not read here.</exception>
    public static GgufFile Open(string path)
    {
        var map = MappedFile.Open(path);
        try
        {
            return new GgufFile(map);
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

    /// <summary>A tensor; null where there is none.</summary>
    public GgufTensor? Find(string name) => _tensors.GetValueOrDefault(name);

    /// <summary>Copies a part of a tensor as float32.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="start">The first value; at the beginning of a block.</param>
    /// <param name="destination">Whole blocks.</param>
    /// <exception cref="ArgumentException">The tensor has fewer values.</exception>
    /// <exception cref="InvalidDataException">The scale of a block is not a finite number.</exception>
    public void Read(GgufTensor tensor, long start, Span<float> destination)
    {
        if (start < 0 || tensor.Type.BytesOf(start + destination.Length) > tensor.ByteLength)
            throw new ArgumentException($"{tensor.Name} of shape ({string.Join(", ", tensor.Shape)}) does not have {start + destination.Length} values.", nameof(destination));
        const int Part = 1 << 16; // whole blocks of every type
        var bytes = ArrayPool<byte>.Shared.Rent((int)tensor.Type.BytesOf(Math.Min(Part, destination.Length)));
        for (; !destination.IsEmpty; start += Part, destination = destination[Math.Min(Part, destination.Length)..])
        {
            var values = destination[..Math.Min(Part, destination.Length)];
            var blocks = bytes.AsSpan(0, (int)tensor.Type.BytesOf(values.Length));
            Map.ReadBytes(tensor.Offset + tensor.Type.BytesOf(start), blocks);
            if (!tensor.Type.TryRead(blocks, values))
                throw BadScale(tensor);
        }
        ArrayPool<byte>.Shared.Return(bytes);
    }

    /// <summary>The message for a scale that is no number.</summary>
    public InvalidDataException BadScale(GgufTensor tensor) => new($"{Map.Path}: {tensor.Name} has a block whose scale is not a finite number. Was the file damaged?");

    /// <summary>Unmaps the file.</summary>
    public void Dispose() => Map.Dispose();

    private void ReadTensors(GgufCursor cursor, int count)
    {
        var end = 0L; // of the tensors so far, from the first
        for (var i = 0; i < count; i++)
        {
            var tensor = ReadTensor(cursor, i, Align(end));
            if (tensor.ByteLength > Map.Length - tensor.Offset) // first of all, so that no sum overflows
                throw EndsAfterTheFile(cursor, tensor);
            if (!_tensors.TryAdd(tensor.Name, tensor))
                throw cursor.Damaged($"tensor {PlainText.Quote(tensor.Name)} stands twice");
            end = tensor.Offset + tensor.ByteLength;
        }

        // Offsets count from the end of the header, which is known only now.
        var dataStart = Align(cursor.Offset);
        foreach (var (name, tensor) in _tensors)
        {
            if (tensor.Offset + tensor.ByteLength > Map.Length - dataStart)
                throw EndsAfterTheFile(cursor, tensor);
            _tensors[name] = tensor with { Offset = dataStart + tensor.Offset };
        }
        if (Map.Length > dataStart + Align(end))
            throw cursor.Damaged($"its tensors end at byte {dataStart + end:N0}, but it is {Map.Length:N0} bytes long");
    }

    private GgufTensor ReadTensor(GgufCursor cursor, int index, long expectedOffset)
    {
        var name = cursor.Text($"the name of tensor {index}", MaxNameLength);
        var quoted = PlainText.Quote(name);
        var dimensions = cursor.Read<uint>($"the dimensions of {quoted}");
        if (dimensions is 0 or > MaxDimensions)
            throw cursor.Damaged($"tensor {quoted} has {dimensions} dimensions, expected 1 to {MaxDimensions}");
        var shape = new long[dimensions];
        Int128 length = 1;
        for (var i = (int)dimensions - 1; i >= 0; i--)
        {
            var dimension = cursor.Read<ulong>($"the dimensions of {quoted}");
            if (dimension is 0 or > long.MaxValue || (length *= (long)dimension) > long.MaxValue / sizeof(float))
                throw cursor.Damaged($"tensor {quoted} has the dimension {dimension:N0}: no tensor is that large, or empty");
            shape[i] = (long)dimension;
        }
        var code = cursor.Read<uint>($"the type of {quoted}");
        var type = GgufType.Find(code) ?? throw new InvalidDataException(
            $"{Map.Path}: tensor {quoted} is of {GgufType.NameOfOther(code)}, which is not read here; {string.Join(", ", GgufType.All.Select(known => known.Name))} are.");
        if (shape[^1] % type.BlockLength != 0)
            throw cursor.Damaged($"tensor {quoted} has rows of {shape[^1]:N0} values, but {type.Name} has blocks of {type.BlockLength}");
        var offset = cursor.Read<ulong>($"the offset of {quoted}");
        if (offset != (ulong)expectedOffset)
            throw cursor.Damaged($"tensor {quoted} begins at byte {offset:N0} of the tensors, expected {expectedOffset:N0}: tensors overlap, leave a gap or are not aligned");
        return new GgufTensor(name, type, shape, expectedOffset, type.BytesOf((long)length));
    }

    private InvalidDataException EndsAfterTheFile(GgufCursor cursor, GgufTensor tensor) =>
        cursor.Damaged($"tensor {PlainText.Quote(tensor.Name)} of {tensor.ByteLength:N0} bytes ends after the file's {Map.Length:N0}. Was it cut short?");

    private long Align(long offset) => (offset + Alignment - 1) / Alignment * Alignment;
}
