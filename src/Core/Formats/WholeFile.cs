namespace LlamaFullstack.Core.Formats;

/// <summary>Reads a small file at once: a tokenizer, whose every byte is looked at. Mapping it would take 6 ms more at a program's start.</summary>
internal static class WholeFile
{
    private const int MostBytes = 1 << 30; // no tokenizer is near

    /// <summary>The file's bytes.</summary>
    /// <exception cref="IOException">The file is missing, is a folder, or cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is empty, or too large.</exception>
    public static byte[] Read(string path)
    {
        if (Directory.Exists(path))
            throw new IOException($"{path}: is a folder, expected a file.");
        if (!File.Exists(path))
            throw new FileNotFoundException($"{path}: no such file.");
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var length = RandomAccess.GetLength(file);
        if (length is 0 or > MostBytes)
            throw new InvalidDataException(length == 0 ? $"{path}: the file is empty." : $"{path}: {length:N0} bytes; no tokenizer is that large.");
        var bytes = GC.AllocateUninitializedArray<byte>((int)length);
        for (var read = 0; read < bytes.Length;)
        {
            var count = RandomAccess.Read(file, bytes.AsSpan(read), read);
            if (count == 0)
                throw new InvalidDataException($"{path}: was cut short while it was being read.");
            read += count;
        }
        return bytes;
    }
}
