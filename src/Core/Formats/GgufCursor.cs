using System.Text;

namespace LlamaFullstack.Core.Formats;

/// <summary>Reads a GGUF header from front to back. Nothing is read, and nothing as large as it claims to be is allocated, before it is known to lie inside the file.</summary>
internal sealed class GgufCursor(MappedFile map)
{
    /// <summary>Longest header, in bytes: that of a model with 128,000 tokens and as many merges has 8 MB.</summary>
    private const long MaxHeader = 64 << 20;

    private readonly long _end = Math.Min(map.Length, MaxHeader);

    /// <summary>The byte that is read next.</summary>
    public long Offset { get; private set; }

    /// <summary>Bytes that may follow.</summary>
    public long Left => _end - Offset;

    /// <summary>Reads a number.</summary>
    /// <param name="what">What it is, for the message.</param>
    public T Read<T>(string what) where T : unmanaged
    {
        var value = map.Read<T>(Skip(System.Runtime.CompilerServices.Unsafe.SizeOf<T>(), what));
        return value;
    }

    /// <summary>Reads a short text, such as a name.</summary>
    /// <param name="what">What it is, for the message.</param>
    /// <param name="maxLength">Bytes that it may have.</param>
    public string Text(string what, int maxLength)
    {
        var length = TextLength(what);
        if (length > maxLength)
            throw Damaged($"{what} would be {length:N0} bytes long, expected at most {maxLength:N0}");
        return Encoding.UTF8.GetString(map.Span(Skip(length, what), (int)length));
    }

    /// <summary>Steps over a text of any length.</summary>
    public void SkipText(string what) => Skip(TextLength(what), what);

    /// <summary>Steps over bytes.</summary>
    /// <returns>Where they begin.</returns>
    public long Skip(long count, string what)
    {
        if (count > Left)
            throw Damaged($"the header ends inside {what}. Was it cut short?");
        var start = Offset;
        Offset += count;
        return start;
    }

    /// <summary>A count of things that follow.</summary>
    /// <param name="what">What is counted, for the message.</param>
    /// <param name="leastBytes">Bytes that each of them has at least.</param>
    /// <param name="max">How many there may be.</param>
    public int Count(string what, int leastBytes, int max)
    {
        var count = Read<ulong>($"the number of {what}");
        if (count > (ulong)max || (long)count > Left / leastBytes)
            throw Damaged($"it would have {count:N0} {what}, more than {(count > (ulong)max ? $"the {max:N0} that are allowed" : $"fit into its {map.Length:N0} bytes")}");
        return (int)count;
    }

    /// <summary>The one line that says what is wrong.</summary>
    public InvalidDataException Damaged(string what) => new($"{map.Path}: not a GGUF file, or damaged: {what.TrimEnd('.', '?')}{(what.EndsWith('?') ? '?' : '.')}");

    private long TextLength(string what)
    {
        var length = Read<ulong>(what);
        return length <= (ulong)Left ? (long)length : throw Damaged($"{what} would be {length:N0} bytes long, but {Left:N0} are left. Was it cut short?");
    }
}
