using Microsoft.Win32.SafeHandles;

namespace LlamaFullstack.Core.Formats;

/// <summary>Opens and reads files that a user names: what is wrong with one is said in a line that begins with its name.</summary>
internal static class InputFile
{
    private const int MostBytes = 1 << 30; // of a tokenizer: none is near

    /// <summary>Opens a file for reading at any offset. Others may replace or delete it meanwhile.</summary>
    /// <exception cref="IOException">The file is missing, is a folder, or cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is empty.</exception>
    public static SafeFileHandle Open(string path, out long length)
    {
        if (Directory.Exists(path))
            throw new IOException($"{path}: is a folder, expected a file.");
        if (!File.Exists(path))
            throw new FileNotFoundException($"{path}: no such file.");
        var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        length = RandomAccess.GetLength(file);
        if (length > 0)
            return file;
        file.Dispose();
        throw new InvalidDataException($"{path}: the file is empty.");
    }

    /// <summary>Reads bytes from an offset on, as many as there is room for.</summary>
    /// <exception cref="InvalidDataException">The file ends before; for files whose length was looked at, it was cut short since.</exception>
    public static void Read(SafeFileHandle file, string path, long offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            var read = RandomAccess.Read(file, destination, offset);
            if (read == 0)
                throw new InvalidDataException($"{path}: was cut short while it was being read.");
            offset += read;
            destination = destination[read..];
        }
    }

    /// <summary>The bytes of a tokenizer, every one of which is looked at. Mapping it would take 6 ms more at a program's start.</summary>
    /// <exception cref="IOException">The file is missing, is a folder, or cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is empty, or too large.</exception>
    public static byte[] ReadTokenizer(string path)
    {
        using var file = Open(path, out var length);
        if (length > MostBytes)
            throw new InvalidDataException($"{path}: {length:N0} bytes; no tokenizer is that large.");
        var bytes = GC.AllocateUninitializedArray<byte>((int)length);
        Read(file, path, 0, bytes);
        return bytes;
    }
}
