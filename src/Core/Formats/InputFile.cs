using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace LlamaFullstack.Core.Formats;

/// <summary>Opens and reads files that a user names: what is wrong with one is said in a line that begins with its name.</summary>
public static partial class InputFile
{
    private const int MostBytes = 1 << 30; // of a tokenizer: none is near
    private const int MostTextBytes = 1 << 26; // of a prompt or of options: a device may have no end

    /// <summary>Opens a file that has something in it for reading at any offset. Others may replace or delete it meanwhile.</summary>
    /// <exception cref="IOException">The file is missing, is a folder, a pipe or a device, or cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is empty.</exception>
    public static SafeFileHandle Open(string path, out long length)
    {
        var file = Open(path);
        length = RandomAccess.GetLength(file);
        if (length > 0)
            return file;
        file.Dispose();
        throw new InvalidDataException($"{path}: the file is empty.");
    }

    /// <summary>Opens a file for reading; it may be empty. Others may replace or delete it meanwhile.</summary>
    /// <exception cref="IOException">The file is missing, is a folder, a pipe or a device, or cannot be read.</exception>
    public static SafeFileHandle Open(string path, FileOptions options = FileOptions.None)
    {
        CheckPlain(path);
        return Named(path, () => File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, options));
    }

    /// <summary>Refuses what is no plain file before anything opens it: to open a pipe waits for whoever writes into it, and a device may have no end.</summary>
    /// <remarks>On Linux: elsewhere .NET tells a pipe from a file nowhere, and it is waited for.</remarks>
    /// <exception cref="IOException">There is no such file, it cannot be looked at, or it is a folder, a pipe or a device.</exception>
    public static void CheckPlain(string path)
    {
        CheckName(path);
        var file = new FileInfo(path);
        var length = Named(path, () => file.Length); // of a link its own
        var isLink = file.Attributes.HasFlag(FileAttributes.ReparsePoint);
        if ((isLink || length == 0) && !IsPlain(path))
            throw new IOException($"{path}: is a pipe or a device, expected a file. Save what comes out of it, and name that.");
        if (isLink)
            CheckTarget(path, file);
    }

    /// <summary>Whether there is a file of that name.</summary>
    /// <exception cref="IOException">The system does not let it be seen, in a folder that is closed to this user.</exception>
    public static bool Exists(string path)
    {
        if (path.Length == 0 || File.Exists(path))
            return path.Length > 0;
        try
        {
            Named(path, () => File.GetAttributes(path));
        }
        catch (FileNotFoundException)
        {
        }
        return false;
    }

    /// <summary>The whole of a small text: of a file, or once of what comes out of a pipe or of /dev/stdin.</summary>
    /// <param name="path">The file or the pipe.</param>
    /// <param name="cancellation">Ends the wait for whoever writes into a pipe.</param>
    /// <exception cref="IOException">The file is missing, is a folder, or cannot be read.</exception>
    /// <exception cref="InvalidDataException">The text is no small one.</exception>
    public static string ReadText(string path, CancellationToken cancellation)
    {
        CheckName(path);
        // The system waits inside open and read, whatever is asked for: a thread of its own does, and is left behind.
        return Task.Run(() => Named(path, () => ReadAll(path)), CancellationToken.None).WaitAsync(cancellation).GetAwaiter().GetResult();
    }

    private static string ReadAll(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var text = new MemoryStream();
        var buffer = new byte[1 << 16];
        for (int count; (count = file.Read(buffer)) > 0;)
        {
            text.Write(buffer, 0, count);
            if (text.Length > MostTextBytes)
                throw new InvalidDataException($"{path}: more than {MostTextBytes >> 20} MB, expected a short text.");
        }
        text.Position = 0;
        return new StreamReader(text).ReadToEnd();
    }

    /// <summary>Reads bytes from an offset on, as many as there is room for.</summary>
    /// <exception cref="IOException">The disk cannot read it.</exception>
    /// <exception cref="InvalidDataException">The file ends before; for files whose length was looked at, it was cut short since.</exception>
    public static void Read(SafeFileHandle file, string path, long offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            var read = ReadSome(file, path, offset, destination);
            if (read == 0)
                throw new InvalidDataException($"{path}: was cut short while it was being read.");
            offset += read;
            destination = destination[read..];
        }
    }

    private static int ReadSome(SafeFileHandle file, string path, long offset, Span<byte> destination)
    {
        try
        {
            return RandomAccess.Read(file, destination, offset);
        }
        catch (IOException e)
        {
            throw Named(path, e);
        }
    }

    /// <summary>Opens a tokenizer.</summary>
    /// <exception cref="IOException">The file is missing, is a folder, or cannot be read.</exception>
    /// <exception cref="InvalidDataException">The file is empty, or too large.</exception>
    public static SafeFileHandle OpenTokenizer(string path, out int length)
    {
        var file = Open(path, out var bytes);
        length = (int)bytes;
        if (bytes <= MostBytes)
            return file;
        file.Dispose();
        throw new InvalidDataException($"{path}: {bytes:N0} bytes; no tokenizer is that large.");
    }

    /// <summary>The bytes of a tokenizer, every one of which is looked at. Mapping it would take 6 ms more at a program's start.</summary>
    /// <inheritdoc cref="OpenTokenizer"/>
    public static byte[] ReadTokenizer(string path)
    {
        using var file = OpenTokenizer(path, out var length);
        var bytes = GC.AllocateUninitializedArray<byte>(length);
        Read(file, path, 0, bytes);
        return bytes;
    }

    private static void CheckName(string path)
    {
        if (path.Length == 0)
            throw new FileNotFoundException("the name of a file is empty: name one.");
        if (Directory.Exists(path))
            throw new IOException($"{path}: is a folder, expected a file.");
    }

    private static void CheckTarget(string path, FileInfo link)
    {
        try
        {
            if (link.ResolveLinkTarget(returnFinalTarget: true) is not { Exists: true })
                throw new FileNotFoundException($"{path}: is a link to {link.LinkTarget}, which does not exist.");
        }
        catch (IOException e) when (e is not FileNotFoundException)
        {
            throw new IOException($"{path}: is a link that leads back to itself.", e);
        }
    }

    /// <summary>The system's reasons, with the name that was given: its own messages have the full one, at their end or nowhere.</summary>
    private static T Named<T>(string path, Func<T> ask)
    {
        try
        {
            return ask();
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new FileNotFoundException($"{path}: no such file.", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException($"{path}: the system does not let you read it (permission denied).", e);
        }
        catch (IOException e)
        {
            throw Named(path, e);
        }
    }

    private static IOException Named(string path, IOException e)
    {
        var end = e.Message.IndexOf(" : '", StringComparison.Ordinal);
        return new IOException($"{path}: {(end < 0 ? e.Message.TrimEnd('.') : e.Message[..end])}.", e);
    }

    // Pipes, sockets and devices have no length, as an empty file has none; the system alone tells them apart, and .NET does not ask it.
    private static bool IsPlain(string path)
    {
        if (!OperatingSystem.IsLinux())
            return true;
        const int CurrentFolder = -100, Type = 1, ModeAt = 28, TypeBits = 0xF000, PlainFile = 0x8000; // AT_FDCWD, STATX_TYPE, stx_mode, S_IFMT, S_IFREG
        Span<byte> status = stackalloc byte[256];
        return StatusOf(CurrentFolder, path, 0, Type, status) != 0 || (MemoryMarshal.Read<ushort>(status[ModeAt..]) & TypeBits) == PlainFile;
    }

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatusOf(int folder, string path, int flags, uint asked, Span<byte> status);
}
