using System.Globalization;
using System.Text;

namespace LlamaFullstack.Core.Formats;

/// <summary>What a GGUF file says of its model: values by name. Only where each value lies is kept; it is read when it is asked for.</summary>
public sealed class GgufMetadata
{
    private const int MaxValues = 1 << 16;
    private const int MaxKeyLength = 1 << 10;
    private const int MaxArrayLength = 1 << 26;
    private const int MaxTextLength = 1 << 24; // a chat template has some 10 KB

    // key: its length and its text; the value's type, and one byte of value at least.
    private const int LeastBytes = sizeof(ulong) + sizeof(uint) + 1;

    private readonly MappedFile _map;
    private readonly Dictionary<string, Value> _values = new(StringComparer.Ordinal);

    internal GgufMetadata(MappedFile map, GgufCursor cursor, int count)
    {
        _map = map;
        for (var i = 0; i < count; i++)
        {
            var key = cursor.Text($"the key of value {i}", MaxKeyLength);
            var value = ReadValue(cursor, PlainText.Quote(key));
            if (!_values.TryAdd(key, value))
                throw cursor.Damaged($"the key {PlainText.Quote(key)} stands twice");
        }
    }

    // The types of GGUF; the values are the file's.
    private enum Kind : uint
    {
        UInt8, Int8, UInt16, Int16, UInt32, Int32, Float32, Bool, Text, Array, UInt64, Int64, Float64,
    }

    /// <summary>The keys, in the order of the file.</summary>
    public IEnumerable<string> Keys => _values.Keys;

    internal static int MaxCount => MaxValues;

    internal static int LeastBytesOfOne => LeastBytes;

    /// <summary>Whether there is a value of this name.</summary>
    public bool Has(string key) => _values.ContainsKey(key);

    /// <summary>A text; null where there is none.</summary>
    /// <exception cref="InvalidDataException">The value is not a text, or it is too long.</exception>
    public string? Text(string key)
    {
        if (!_values.TryGetValue(key, out var value))
            return null;
        Expect(key, value, value.Kind == Kind.Text, "a text");
        return TextAt(value.Offset, out _, key);
    }

    /// <summary>A whole number; null where there is none.</summary>
    /// <exception cref="InvalidDataException">The value is not a whole number, or it does not fit 32 bits.</exception>
    public int? Whole(string key)
    {
        if (!_values.TryGetValue(key, out var value))
            return null;
        Expect(key, value, value.Kind is not (Kind.Float32 or Kind.Float64 or Kind.Bool or Kind.Text or Kind.Array), "a whole number");
        var number = Number(value.Kind, value.Offset);
        return number >= int.MinValue && number <= int.MaxValue ? (int)number
            : throw new InvalidDataException($"{_map.Path}: {key} {number.ToString(CultureInfo.InvariantCulture)} is larger than any model has.");
    }

    /// <summary>A number; null where there is none.</summary>
    /// <exception cref="InvalidDataException">The value is not a number.</exception>
    public float? Fraction(string key)
    {
        if (!_values.TryGetValue(key, out var value))
            return null;
        Expect(key, value, value.Kind is not (Kind.Bool or Kind.Text or Kind.Array), "a number");
        return (float)Number(value.Kind, value.Offset);
    }

    /// <summary>Yes or no; null where there is none.</summary>
    /// <exception cref="InvalidDataException">The value is neither.</exception>
    public bool? Flag(string key)
    {
        if (!_values.TryGetValue(key, out var value))
            return null;
        Expect(key, value, value.Kind == Kind.Bool, "true or false");
        return _map.Read<byte>(value.Offset) != 0;
    }

    /// <summary>Number of elements of an array; null where there is none.</summary>
    /// <exception cref="InvalidDataException">The value is not an array.</exception>
    public int? Length(string key)
    {
        if (!_values.TryGetValue(key, out var value))
            return null;
        Expect(key, value, value.Kind == Kind.Array, "an array");
        return value.Count;
    }

    /// <summary>An array of texts in UTF-8, one after the other.</summary>
    /// <exception cref="InvalidDataException">There is none, or its elements are not texts.</exception>
    public IEnumerable<byte[]> Texts(string key)
    {
        var value = Array(key, element => element == Kind.Text, "texts");
        var offset = value.Offset;
        for (var i = 0; i < value.Count; i++)
        {
            var length = (int)_map.Read<ulong>(offset);
            yield return _map.Span(offset + sizeof(ulong), length).ToArray();
            offset += sizeof(ulong) + length;
        }
    }

    /// <summary>An array of float32.</summary>
    /// <exception cref="InvalidDataException">There is none, or its elements are of another type.</exception>
    public float[] Fractions(string key) => Numbers<float>(Array(key, element => element == Kind.Float32, "float32"));

    /// <summary>An array of 32 bit whole numbers.</summary>
    /// <exception cref="InvalidDataException">There is none, or its elements are of another type.</exception>
    public int[] Wholes(string key) => Numbers<int>(Array(key, element => element is Kind.Int32 or Kind.UInt32, "32 bit whole numbers"));

    /// <summary>A value for people: on one line, arrays by their length.</summary>
    public string Describe(string key)
    {
        var value = _values[key];
        return value.Kind switch
        {
            Kind.Text => PlainText.Quote(TextAt(value.Offset, out _, key)),
            Kind.Array => string.Create(CultureInfo.InvariantCulture, $"{value.Count:N0} × {value.Element}"),
            Kind.Bool => _map.Read<byte>(value.Offset) != 0 ? "true" : "false",
            Kind.Float32 or Kind.Float64 => ((float)Number(value.Kind, value.Offset)).ToString(CultureInfo.InvariantCulture),
            _ => Number(value.Kind, value.Offset).ToString("F0", CultureInfo.InvariantCulture),
        };
    }

    private static Value ReadValue(GgufCursor cursor, string key)
    {
        var kind = ReadKind(cursor, key);
        if (kind == Kind.Text)
        {
            var offset = cursor.Offset;
            cursor.SkipText($"the value of {key}");
            return new Value(kind, offset);
        }
        if (kind != Kind.Array)
            return new Value(kind, cursor.Skip(SizeOf(kind), $"the value of {key}"));

        var element = ReadKind(cursor, key);
        if (element == Kind.Array)
            throw cursor.Damaged($"{key} is an array of arrays, which nothing here reads");
        var size = element == Kind.Text ? sizeof(ulong) : SizeOf(element);
        var count = cursor.Count($"elements in {key}", size, MaxArrayLength);
        var start = cursor.Offset;
        if (element == Kind.Text)
            for (var i = 0; i < count; i++)
                cursor.SkipText($"an element of {key}");
        else
            cursor.Skip((long)count * size, key);
        return new Value(kind, start, element, count);
    }

    private static Kind ReadKind(GgufCursor cursor, string key)
    {
        var kind = cursor.Read<uint>($"the type of {key}");
        return kind <= (uint)Kind.Float64 ? (Kind)kind : throw cursor.Damaged($"{key} is of the type {kind}, which GGUF does not have");
    }

    private static int SizeOf(Kind kind) => kind switch
    {
        Kind.UInt8 or Kind.Int8 or Kind.Bool => 1,
        Kind.UInt16 or Kind.Int16 => 2,
        Kind.UInt32 or Kind.Int32 or Kind.Float32 => 4,
        _ => 8,
    };

    // Every type but 64 bit ones above 2^53 is exact as a double, and no value that is asked for is as large.
    private double Number(Kind kind, long offset) => kind switch
    {
        Kind.UInt8 => _map.Read<byte>(offset),
        Kind.Int8 => _map.Read<sbyte>(offset),
        Kind.UInt16 => _map.Read<ushort>(offset),
        Kind.Int16 => _map.Read<short>(offset),
        Kind.UInt32 => _map.Read<uint>(offset),
        Kind.Int32 => _map.Read<int>(offset),
        Kind.Float32 => _map.Read<float>(offset),
        Kind.UInt64 => _map.Read<ulong>(offset),
        Kind.Int64 => _map.Read<long>(offset),
        _ => _map.Read<double>(offset),
    };

    private T[] Numbers<T>(Value array) where T : unmanaged
    {
        var numbers = new T[array.Count];
        for (var i = 0; i < numbers.Length; i++)
            numbers[i] = _map.Read<T>(array.Offset + i * (long)System.Runtime.CompilerServices.Unsafe.SizeOf<T>());
        return numbers;
    }

    private Value Array(string key, Func<Kind, bool> isElement, string expected)
    {
        if (!_values.TryGetValue(key, out var value))
            throw new InvalidDataException($"{_map.Path}: has no {key}.");
        Expect(key, value, value.Kind == Kind.Array && isElement(value.Element), $"an array of {expected}");
        return value;
    }

    private string TextAt(long offset, out int length, string key)
    {
        length = (int)Math.Min(_map.Read<ulong>(offset), int.MaxValue);
        if (length > MaxTextLength)
            throw new InvalidDataException($"{_map.Path}: {key} is {length:N0} bytes long, expected at most {MaxTextLength:N0}.");
        return Encoding.UTF8.GetString(_map.Span(offset + sizeof(ulong), length));
    }

    private void Expect(string key, Value value, bool isExpected, string expected)
    {
        if (!isExpected)
            throw new InvalidDataException($"{_map.Path}: {key} is of the type {(value.Kind == Kind.Array ? $"array of {value.Element}" : value.Kind)}, expected {expected}.");
    }

    // Where a value lies: a text at its length, an array at its first element.
    private readonly record struct Value(Kind Kind, long Offset, Kind Element = default, int Count = 0);
}
