using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;

namespace LlamaFullstack.Core.Formats;

/// <summary>Writes safetensors files; see <see cref="SafetensorsFile"/>.</summary>
public static class SafetensorsWriter
{
    private const int Alignment = 8; // of the first tensor, by spaces after the header, as the reference does

    /// <summary>Writes a file atomically, one tensor at a time.</summary>
    /// <param name="path">The file to create or replace.</param>
    /// <param name="metadata">Text by name.</param>
    /// <param name="tensors">The tensors, in the order in which they will lie in the file.</param>
    /// <param name="writeTensor">Writes exactly <see cref="SafetensorsEntry.ByteLength"/> bytes of a tensor, little-endian, at the file's position, and leaves that behind them.</param>
    /// <exception cref="InvalidOperationException"><paramref name="writeTensor"/> wrote another number of bytes.</exception>
    public static void Write(string path, IReadOnlyDictionary<string, string> metadata, IReadOnlyList<SafetensorsEntry> tensors,
        Action<SafetensorsEntry, FileStream> writeTensor)
    {
        AtomicFile.Write(path, file =>
        {
            var header = MakeHeader(metadata, tensors);
            Span<byte> length = stackalloc byte[sizeof(ulong)];
            BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
            file.Write(length);
            file.Write(header);
            foreach (var tensor in tensors)
            {
                var start = file.Position;
                writeTensor(tensor, file);
                if (file.Position - start != tensor.ByteLength)
                    throw new InvalidOperationException($"tensor {tensor.Name}: {file.Position - start} bytes were written, expected {tensor.ByteLength}.");
            }
        });
    }

    private static byte[] MakeHeader(IReadOnlyDictionary<string, string> metadata, IReadOnlyList<SafetensorsEntry> tensors)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            if (metadata.Count > 0)
            {
                json.WriteStartObject("__metadata__");
                foreach (var (key, value) in metadata)
                    json.WriteString(key, value);
                json.WriteEndObject();
            }
            var offset = 0L;
            foreach (var tensor in tensors)
            {
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", tensor.Dtype);
                WriteNumbers(json, "shape", tensor.Shape);
                WriteNumbers(json, "data_offsets", [offset, offset + tensor.ByteLength]);
                json.WriteEndObject();
                offset += tensor.ByteLength;
            }
            json.WriteEndObject();
        }
        var padding = (Alignment - buffer.WrittenCount % Alignment) % Alignment;
        buffer.GetSpan(padding)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, IReadOnlyList<long> numbers)
    {
        json.WriteStartArray(name);
        foreach (var number in numbers)
            json.WriteNumberValue(number);
        json.WriteEndArray();
    }
}
