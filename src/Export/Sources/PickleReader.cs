using System.Buffers.Binary;
using System.Text;

namespace LlamaFullstack.Export.Sources;

/// <summary>A dictionary of a pickle. Whole numbers as keys become their digits; a key that comes twice is refused.</summary>
internal sealed class PickleDict : OrderedDictionary<string, object?>;

/// <summary>Reads the values of one pickle: the data of Python programs, here PyTorch's alone.</summary>
/// <remarks>
/// A pickle is a program for a small stack machine, and Python's own reader runs whatever function it names. This one cannot: it knows
/// a fixed list of opcodes, and <see cref="TorchGlobals"/> the fixed list of names, each of which stands for a few lines of code there.
/// There is no reflection and no recursion. Work and memory are bounded by the length of the pickle and the limits below, so that a
/// hostile one ends in an <see cref="InvalidDataException"/>, as a damaged one does.
/// Values: null, bool, long, Int128, double, string, object?[] (a tuple), List&lt;object?&gt;, <see cref="PickleDict"/>, and what
/// <see cref="TorchGlobals"/> makes. Opcodes: CPython's Lib/pickletools.py.
/// </remarks>
internal ref struct PickleReader
{
    /// <summary>Longest pickle that is read. A checkpoint with 5,000 tensors has about 1 MB.</summary>
    public const int MaxLength = 16 << 20;

    // A checkpoint with 5,000 tensors makes about 100,000 values.
    private const int MaxValues = 1 << 19;

    // Open marks are nested tuples, lists and dictionaries: real files have fewer than 10.
    private const int MaxDepth = 1000;

    // Python numbers the memo from 0 or 1 without gaps. A list can then hold it, whatever number a hostile file asks for.
    private const int MaxMemoGap = 16;

    private static readonly object NotInMemo = new();

    private readonly ReadOnlySpan<byte> _bytes;
    private readonly Func<object?[], TorchStorage> _storage;
    private readonly List<object?> _stack = [];
    private readonly List<int> _marks = [];
    private readonly List<object?> _memo = [];
    private int _values;

    /// <param name="bytes">The pickle; may go on after it.</param>
    /// <param name="storage">Finds the storage that a persistent id means.</param>
    public PickleReader(ReadOnlySpan<byte> bytes, Func<object?[], TorchStorage> storage)
    {
        _bytes = bytes;
        _storage = storage;
    }

    /// <summary>Number of bytes read so far.</summary>
    public int Position { get; private set; }

    /// <summary>Reads up to the opcode STOP.</summary>
    /// <exception cref="InvalidDataException">The pickle is damaged, or asks for what is not on the lists. The message does not name the file.</exception>
    public object? Read()
    {
        var start = Position;
        try
        {
            while (true)
            {
                start = Position;
                var opcode = Take(1)[0];
                if (opcode == '.')
                    return Pop();
                Execute(opcode);
            }
        }
        catch (InvalidDataException problem)
        {
            throw new InvalidDataException($"byte {start:N0} of the pickle: {problem.Message}");
        }
    }

    private void Execute(byte opcode)
    {
        switch (opcode)
        {
            // Values.
            case (byte)'N': Push(null); break;                                                      // NONE
            case 0x88: Push(true); break;                                                           // NEWTRUE
            case 0x89: Push(false); break;                                                          // NEWFALSE
            case (byte)'K': Push((long)Take(1)[0]); break;                                          // BININT1
            case (byte)'M': Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); break;    // BININT2
            case (byte)'J': Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4))); break;     // BININT
            case 0x8a: PushLong(Take(1)[0]); break;                                                 // LONG1
            case 0x8b: PushLong(TakeLength(4)); break;                                              // LONG4
            case (byte)'G': Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break;             // BINFLOAT
            case 0x8c: PushText(Take(1)[0], Encoding.UTF8); break;                                  // SHORT_BINUNICODE
            case (byte)'X': PushText(TakeLength(4), Encoding.UTF8); break;                          // BINUNICODE
            case 0x8d: PushText(TakeLength(8), Encoding.UTF8); break;                               // BINUNICODE8
            case (byte)'U': PushText(Take(1)[0], Encoding.Latin1); break;                           // SHORT_BINSTRING: Python 2's text
            case (byte)'T': PushText(TakeLength(4), Encoding.Latin1); break;                        // BINSTRING

            // Tuples, lists and dictionaries.
            case (byte)'(': Mark(); break;                                                          // MARK
            case (byte)')': Push(Array.Empty<object?>()); break;                                    // EMPTY_TUPLE
            case 0x85: Push(PopMany(1)); break;                                                     // TUPLE1
            case 0x86: Push(PopMany(2)); break;                                                     // TUPLE2
            case 0x87: Push(PopMany(3)); break;                                                     // TUPLE3
            case (byte)'t': Push(PopToMark()); break;                                               // TUPLE
            case (byte)']': Push(new List<object?>()); break;                                       // EMPTY_LIST
            case (byte)'a': Append(PopMany(1)); break;                                              // APPEND
            case (byte)'e': Append(PopToMark()); break;                                             // APPENDS
            case (byte)'}': Push(new PickleDict()); break;                                          // EMPTY_DICT
            case (byte)'s': SetItems(PopMany(2)); break;                                            // SETITEM
            case (byte)'u': SetItems(PopToMark()); break;                                           // SETITEMS

            // Values met before.
            case (byte)'q': Remember(Take(1)[0]); break;                                            // BINPUT
            case (byte)'r': Remember(TakeLength(4)); break;                                         // LONG_BINPUT
            case 0x94: Remember(_memo.Count); break;                                                // MEMOIZE
            case (byte)'h': Recall(Take(1)[0]); break;                                              // BINGET
            case (byte)'j': Recall(TakeLength(4)); break;                                           // LONG_BINGET

            // PyTorch's objects.
            case (byte)'c': Push(TorchGlobals.Find(TakeLine(), TakeLine())); break;                 // GLOBAL
            case 0x93: PushStackGlobal(); break;                                                    // STACK_GLOBAL
            case (byte)'R': Call(); break;                                                          // REDUCE
            case (byte)'b': DropState(); break;                                                     // BUILD
            case (byte)'Q': Push(_storage(Pop<object?[]>("a storage's id"))); break;                // BINPERSID

            // Marks of the format itself.
            case 0x80: CheckProtocol(Take(1)[0]); break;                                            // PROTO
            case 0x95: Take(8); break;                                                              // FRAME: its length, for readers of streams
            default:
                throw new InvalidDataException($"opcode 0x{opcode:x2} is not one that PyTorch's tensors need, so it is refused");
        }
    }

    private ReadOnlySpan<byte> Take(int length)
    {
        if (length < 0 || length > _bytes.Length - Position)
            throw new InvalidDataException($"the pickle ends before the {length:N0} bytes that are due. Was the file cut short?");
        Position += length;
        return _bytes.Slice(Position - length, length);
    }

    // A length that cannot fit is cut to one that Take refuses.
    private int TakeLength(int width) => width == 8
        ? (int)Math.Min(BinaryPrimitives.ReadUInt64LittleEndian(Take(8)), int.MaxValue)
        : (int)Math.Min(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)), int.MaxValue);

    private string TakeLine()
    {
        var length = _bytes[Position..].IndexOf((byte)'\n');
        if (length < 0)
            throw new InvalidDataException("a name has no end. Was the file cut short?");
        return Encoding.UTF8.GetString(Take(length + 1)[..length]);
    }

    private void Push(object? value)
    {
        if (++_values > MaxValues)
            throw new InvalidDataException($"more than {MaxValues:N0} values, which no checkpoint has");
        _stack.Add(value);
    }

    private void PushText(int length, Encoding encoding) => Push(encoding.GetString(Take(length)));

    private void PushLong(int length)
    {
        const int MaxWidth = 16;
        if (length > MaxWidth)
            throw new InvalidDataException($"a whole number of {length:N0} bytes, expected at most {MaxWidth}");
        var bytes = Take(length);
        Int128 value = length > 0 && (bytes[^1] & 0x80) != 0 ? -1 : 0;
        for (var i = length - 1; i >= 0; i--)
            value = (value << 8) | bytes[i];
        Push(value >= long.MinValue && value <= long.MaxValue ? (object)(long)value : value);
    }

    private object? Pop() => PopMany(1)[0];

    private T Pop<T>(string what) where T : class =>
        Pop() as T ?? throw new InvalidDataException($"{what} is due, but another value is there");

    private object?[] PopMany(int count)
    {
        var bottom = _marks.Count == 0 ? 0 : _marks[^1];
        if (_stack.Count - bottom < count)
            throw new InvalidDataException($"{count} values are due, but {_stack.Count - bottom} are there");
        return PopFrom(_stack.Count - count);
    }

    private object?[] PopToMark()
    {
        if (_marks.Count == 0)
            throw new InvalidDataException("the end of a tuple, list or dictionary without its beginning");
        var mark = _marks[^1];
        _marks.RemoveAt(_marks.Count - 1);
        return PopFrom(mark);
    }

    private object?[] PopFrom(int index)
    {
        var values = _stack.GetRange(index, _stack.Count - index).ToArray();
        _stack.RemoveRange(index, values.Length);
        return values;
    }

    private void Mark()
    {
        if (_marks.Count == MaxDepth)
            throw new InvalidDataException($"tuples, lists and dictionaries are nested deeper than {MaxDepth:N0}");
        _marks.Add(_stack.Count);
    }

    // What stays on the stack below the values: the list or dictionary that they go into.
    private T Peek<T>(string what) where T : class
    {
        var bottom = _marks.Count == 0 ? 0 : _marks[^1];
        return _stack.Count > bottom && _stack[^1] is T value ? value : throw new InvalidDataException($"{what} is due, but it is not there");
    }

    private void Append(object?[] values) => Peek<List<object?>>("a list").AddRange(values);

    private void SetItems(object?[] values)
    {
        var dictionary = Peek<PickleDict>("a dictionary");
        if (values.Length % 2 != 0)
            throw new InvalidDataException("a key without its value");
        for (var i = 0; i < values.Length; i += 2)
            TorchGlobals.Add(dictionary, values[i], values[i + 1]);
    }

    private void Remember(int index)
    {
        if (index > _memo.Count + MaxMemoGap || _memo.Count > MaxValues)
            throw new InvalidDataException($"memo number {index:N0} after {_memo.Count:N0} entries, which Python does not write");
        while (_memo.Count <= index)
            _memo.Add(NotInMemo);
        _memo[index] = Peek<object>("a value to remember");
    }

    private void Recall(int index)
    {
        if (index >= _memo.Count || _memo[index] == NotInMemo)
            throw new InvalidDataException($"memo number {index:N0} is asked for, but was never given");
        Push(_memo[index]);
    }

    private void PushStackGlobal()
    {
        var name = Pop<string>("a name");
        Push(TorchGlobals.Find(Pop<string>("a module's name"), name));
    }

    private void Call()
    {
        var arguments = Pop<object?[]>("a tuple of arguments");
        Push(TorchGlobals.Call(Pop(), arguments));
    }

    // OrderedDict's attributes: the state_dict's _metadata, which says nothing of the weights.
    private void DropState()
    {
        Pop();
        Peek<PickleDict>("a dictionary");
    }

    private static void CheckProtocol(int protocol)
    {
        if (protocol is < 2 or > 5)
            throw new InvalidDataException($"pickle protocol {protocol}, expected 2 to 5");
    }
}
