using System.Buffers;

namespace LlamaFullstack.Core.Formats;

/// <summary>Writes weights as little-endian float32 or float16, a part at a time.</summary>
public static class FloatWriter
{
    private const int Part = 1 << 16;

    /// <summary>Writes a tensor at a file's position, from its source with all cores, and moves the position behind it.</summary>
    /// <param name="file">Where it goes.</param>
    /// <param name="source">The weights.</param>
    /// <param name="tensor">Which tensor.</param>
    /// <param name="type">Float32, Float16 or BFloat16.</param>
    /// <exception cref="InvalidDataException">The source is damaged, or a finite weight is beyond float16's 65,504.</exception>
    public static void Write(FileStream file, ITensorSource source, TensorShape tensor, NumberType type)
    {
        var (handle, offset) = (file.SafeFileHandle, file.Position);
        TensorParts.ForEach(source, tensor, (start, values) =>
        {
            WritePart(values, type, tensor.Name, bytes => RandomAccess.Write(handle, bytes, offset + start * type.Size()));
            return default;
        });
        file.Position = offset + tensor.Length * type.Size();
    }

    /// <summary>Writes a tensor to a stream that goes forward only, from its source, some rows at a time.</summary>
    /// <param name="stream">Where it goes.</param>
    /// <param name="source">The weights.</param>
    /// <param name="tensor">Which tensor.</param>
    /// <param name="type">Float32, Float16 or BFloat16.</param>
    /// <exception cref="InvalidDataException">The source is damaged, or a finite weight is beyond float16's 65,504.</exception>
    public static void Write(Stream stream, ITensorSource source, TensorShape tensor, NumberType type)
    {
        const int Rows = 1 << 20; // values, read by all cores
        var values = new float[Math.Min(tensor.Length, Math.Max(Rows / tensor.Cols, 1) * (long)tensor.Cols)];
        for (var start = 0L; start < tensor.Length; start += values.Length)
        {
            var read = values.AsSpan(0, (int)Math.Min(values.Length, tensor.Length - start));
            source.Read(tensor.Name, start, read);
            Write(stream, read, type, tensor.Name);
        }
    }

    /// <summary>Writes values.</summary>
    /// <param name="stream">Where they go.</param>
    /// <param name="values">The weights.</param>
    /// <param name="type">Float32, Float16 or BFloat16.</param>
    /// <param name="name">The tensor, for the message.</param>
    /// <exception cref="InvalidDataException">A finite weight is beyond float16's 65,504.</exception>
    public static void Write(Stream stream, ReadOnlySpan<float> values, NumberType type, string name)
    {
        for (; !values.IsEmpty; values = values[Math.Min(Part, values.Length)..])
            WritePart(values[..Math.Min(Part, values.Length)], type, name, stream.Write);
    }

    private static void WritePart(ReadOnlySpan<float> values, NumberType type, string name, Action<ReadOnlySpan<byte>> write)
    {
        var bytes = ArrayPool<byte>.Shared.Rent(values.Length * type.Size());
        var part = bytes.AsSpan(0, values.Length * type.Size());
        if (!type.TryFromFloat32(values, part))
            throw new InvalidDataException($"{name} has the weight {Largest(values)}, which is too large for float16. Write float32 instead.");
        write(part);
        ArrayPool<byte>.Shared.Return(bytes);
    }

    private static float Largest(ReadOnlySpan<float> values)
    {
        var largest = 0f;
        foreach (var value in values)
            if (float.IsFinite(value) && Math.Abs(value) > Math.Abs(largest))
                largest = value;
        return largest;
    }
}
