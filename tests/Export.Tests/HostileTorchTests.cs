using System.Buffers.Binary;
using LlamaFullstack.Export.Sources;

namespace LlamaFullstack.Export.Tests;

/// <summary>Damaged and hostile PyTorch files: each ends in one line that names the file and what is wrong, and nothing that it asks for is done.</summary>
public sealed class HostileTorchTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("posix", "system")]
    [InlineData("os", "system")]
    [InlineData("nt", "system")]
    [InlineData("builtins", "eval")]
    [InlineData("builtins", "exec")]
    [InlineData("__builtin__", "getattr")]
    [InlineData("subprocess", "Popen")]
    [InlineData("torch", "load")]
    [InlineData("torch.utils", "_import_dotted_name")]
    [InlineData("torch._utils", "_rebuild_tensor_v2.__globals__")]
    [InlineData("numpy.core.multiarray", "_reconstruct")]
    public void Open_NameThatIsNotOnTheList_IsRefusedByName(string module, string name)
    {
        var marker = _folder.File("it-ran");
        var pickle = new Pickle().Global(module, name).Mark().Text($"touch {marker}").Tuple().Op('R').Stop();
        AssertRefused(TorchZip.Save(pickle),
            $"byte 2 of the pickle: it asks Python for '{module}.{name}', which is not one of the names that tensors need, so it is refused.");
        Assert.False(File.Exists(marker));
    }

    [Theory]
    [InlineData('i', "0x69")] // INST: makes an object of a named class
    [InlineData('o', "0x6f")] // OBJ
    [InlineData('P', "0x50")] // PERSID
    [InlineData('\u0081', "0x81")] // NEWOBJ
    [InlineData('\u0092', "0x92")] // NEWOBJ_EX
    [InlineData('\u0082', "0x82")] // EXT1: a class by the number of a registry
    [InlineData('\u0097', "0x97")] // NEXT_BUFFER
    [InlineData('\u00ff', "0xff")]
    public void Open_OpcodeThatIsNotOnTheList_IsRefusedByNumber(char opcode, string number) =>
        AssertRefused(TorchZip.Save(new Pickle().Raw((byte)opcode).Stop()),
            $"byte 2 of the pickle: opcode {number} is not one that PyTorch's tensors need, so it is refused.");

    [Fact]
    public void Open_NameWithControlCharacters_StaysOnOneLine() =>
        AssertRefused(TorchZip.Save(new Pickle().Raw(0x8c, 3).Raw("a\nb"u8).Raw(0x8c, 4).Raw("\u001b[2J"u8).Raw(0x93).Stop()),
            "byte 13 of the pickle: it asks Python for 'a\\u000ab.\\u001b[2J', which is not one of the names that tensors need, so it is refused.");

    public static TheoryData<string, byte[], string> BadPickles => new()
    {
        { "no values at all", new Pickle().Stop(), "1 values are due, but 0 are there" },
        { "a whole number of 2 GB", new Pickle().Raw(0x8b, 0xff, 0xff, 0xff, 0x7f).Stop(), "a whole number of 2,147,483,647 bytes, expected at most 16" },
        { "a text of 4 GB", new Pickle().Op('X').Raw(0xff, 0xff, 0xff, 0xff).Stop(), "the pickle ends before the 2,147,483,647 bytes that are due" },
        { "a text of 2^64 bytes", new Pickle().Raw(0x8d).Raw([.. Enumerable.Repeat((byte)0xff, 8)]).Stop(), "the pickle ends before the 2,147,483,647 bytes that are due" },
        { "a name without end", new Pickle().Op('c').Raw("os"u8).Stop(), "a name has no end" },
        { "a memo number of 4 billion", new Pickle().Op('N').Op('r').Raw(0xff, 0xff, 0xff, 0xff).Stop(), "memo number 2,147,483,647 after 0 entries, which Python does not write" },
        { "a memo of nothing", new Pickle().Op('q').Raw(0).Stop(), "a value to remember is due, but it is not there" },
        { "a memo that was never given", new Pickle().Op('h').Raw(7).Stop(), "memo number 7 is asked for, but was never given" },
        { "an end without its beginning", new Pickle().Op('t').Stop(), "the end of a tuple, list or dictionary without its beginning" },
        { "values taken from below a mark", new Pickle().Op('N').Mark().Raw(0x85).Stop(), "1 values are due, but 0 are there" },
        { "a million nested tuples", new Pickle().Raw([.. Enumerable.Repeat((byte)'(', 1_000_000)]).Stop(), "nested deeper than 1,000" },
        { "a million dictionaries", new Pickle().Raw([.. Enumerable.Repeat((byte)'}', 1_000_000)]).Stop(), "more than 524,288 values, which no checkpoint has" },
        { "an item for no list", new Pickle().Dict().Op('N').Op('a').Stop(), "a list is due, but it is not there" },
        { "a key without a value", new Pickle().Dict().Mark().Op('N').SetItems().Stop(), "a key without its value" },
        { "a tuple as a key", new Pickle().Dict().Op(')').Op('N').Op('s').Stop(), "a key of a dictionary is neither text nor a whole number" },
        { "a key twice", new Pickle().Dict().Mark().Text("w").Op('N').Text("w").Op('N').SetItems().Stop(), "the key 'w' is in its dictionary twice" },
        { "a call of a text", new Pickle().Text("os.system").Op(')').Op('R').Stop(), "a call of something that is not a function" },
        { "a call of a storage's class", new Pickle().Global("torch", "FloatStorage").Op(')').Op('R').Stop(), "a call of something that is not a function" },
        { "wrong arguments", new Pickle().Global("torch._utils", "_rebuild_tensor_v2").Op(')').Op('R').Stop(), "the arguments of RebuildTensor are not those that PyTorch writes" },
        { "state for a tuple", new Pickle().Op(')').Dict().Op('b').Stop(), "a dictionary is due, but it is not there" },
        { "protocol 0", new Pickle().Raw(0x80, 0).Stop(), "pickle protocol 0, expected 2 to 5" },
        { "a storage's id of another kind", new Pickle().Mark().Text("module").Text("0").Tuple().Op('Q').Stop(), "the id of a storage is not one that PyTorch writes" },
    };

    [Theory]
    [MemberData(nameof(BadPickles))]
    public void Open_BadPickle_IsRefusedWithTheReason(string what, byte[] pickle, string reason)
    {
        Assert.NotEmpty(what);
        Assert.Contains(reason, Refusal(TorchZip.Save(pickle)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(4, 0, 5, 1, "reaches value 4, but the storage has 4")] // one value too many
    [InlineData(4, 1, 4, 1, "reaches value 4, but the storage has 4")] // an offset too far
    [InlineData(4, 0, 2, 4, "reaches value 4, but the storage has 4")] // a stride too long
    [InlineData(4, 0, 2, -1, "has a negative offset, length or stride")]
    [InlineData(4, -1, 2, 1, "has a negative offset, length or stride")]
    [InlineData(4, 0, -2, 1, "has a negative offset, length or stride")]
    [InlineData(4, 0, long.MaxValue, 2, ", but the storage has 4")] // products that do not fit 64 bits
    [InlineData(4, long.MaxValue, 2, long.MaxValue, ", but the storage has 4")]
    [InlineData(5, 0, 4, 1, "storage '0' has 16 bytes, expected 20 for 5 values")] // a storage that claims more than the archive has
    [InlineData(3, 0, 3, 1, "storage '0' has 16 bytes, expected 12 for 3 values")]
    [InlineData(-1, 0, 1, 1, "the id of a storage is not one that PyTorch writes")]
    [InlineData(long.MaxValue, 0, 1, 1, "storage '0' has 9,223,372,036,854,775,807 values, which the file of")]
    public void Open_TensorThatDoesNotFitItsStorage_IsRefused(long count, long offset, long length, long stride, string reason)
    {
        var pickle = new Pickle().Tensor("FloatStorage", "0", count, offset, [length], [stride]).Stop();
        Assert.Contains(reason, Refusal(TorchZip.Save(pickle, [1, 2, 3, 4])), StringComparison.Ordinal);
    }

    [Fact]
    public void Open_MoreDimensionsThanTorchHas_IsRefused()
    {
        var ones = Enumerable.Repeat(1L, 65).ToArray();
        AssertRefused(TorchZip.Save(new Pickle().Tensor("FloatStorage", "0", 1, 0, ones, ones).Stop(), [1]),
            "a tensor has 65 dimensions and 65 strides, expected as many strides as dimensions and at most 64", contains: true);
    }

    [Fact]
    public void Open_ManyDimensionsWhoseProductOverflows_IsRefused()
    {
        var huge = Enumerable.Repeat(long.MaxValue, 64).ToArray();
        AssertRefused(TorchZip.Save(new Pickle().Tensor("FloatStorage", "0", 1, 0, huge, huge).Stop(), [1]), "but the storage has 1", contains: true);
    }

    [Fact]
    public void Open_StorageWithTwoTypes_IsRefused()
    {
        var pickle = new Pickle().Mark().Tensor("FloatStorage", "0", 1, 0, [1], [1]).Tensor("IntStorage", "0", 1, 0, [1], [1]).Tuple().Stop();
        AssertRefused(TorchZip.Save(pickle, [1]), "storage '0' has two types or two lengths", contains: true);
    }

    [Fact]
    public void Open_StorageThatIsNotInTheArchive_IsRefused() =>
        AssertRefused(TorchZip.Save(new Pickle().Tensor("FloatStorage", "../../etc/passwd", 1, 0, [1], [1]).Stop()),
            "the archive has no 'test/data/../../etc/passwd', where a tensor's values should be", contains: true);

    public static TheoryData<string, byte[], string> BadArchives
    {
        get
        {
            var pickle = new Pickle().Dict().Stop();
            return new()
            {
                { "no pickle", new TorchZip().Add("a/b", [1]).ToArray(), "a zip archive with 0 files called data.pkl, expected one: it was not written by torch.save" },
                { "two pickles", new TorchZip().Add("a/data.pkl", pickle).Add("b/data.pkl", pickle).ToArray(), "a zip archive with 2 files called data.pkl" },
                { "a name twice", new TorchZip().Add("a/data.pkl", pickle).Add("a/data.pkl", pickle).ToArray(), "'a/data.pkl' is in the zip directory twice" },
                { "a path upwards", new TorchZip().Add("a/data.pkl", pickle).Add("a/../../x", [1]).ToArray(), "'a/../../x' is not a name that PyTorch gives" },
                { "an absolute path", new TorchZip().Add("a/data.pkl", pickle).Add("/etc/passwd", [1]).ToArray(), "'/etc/passwd' is not a name that PyTorch gives" },
                { "a deflated entry", new TorchZip().Add("a/data.pkl", pickle, method: 8).ToArray(), "'a/data.pkl' is compressed (method 8" },
                { "a zip bomb", new TorchZip().Add("a/data.pkl", pickle, size: 0xfffffff0).ToArray(), "'a/data.pkl' is compressed (method 0, 4 bytes for 4,294,967,280)" },
                { "an encrypted entry", new TorchZip().Add("a/data.pkl", pickle, flags: 1).ToArray(), "'a/data.pkl' is encrypted" },
                { "an entry outside", new TorchZip().Add("a/data.pkl", pickle, offset: 0x7fffffff).ToArray(), "'a/data.pkl' is not at 2,147,483,647, where the zip directory points" },
                { "entries that overlap", new TorchZip().Add("a/data.pkl", pickle).Add("b/data.pkl", pickle, offset: 0).ToArray(), "overlaps another file of the archive at 40" },
                { "another byte order", new TorchZip().Add("a/data.pkl", pickle).Add("a/byteorder", "big"u8.ToArray()).ToArray(), "its numbers are not little-endian" },
            };
        }
    }

    [Theory]
    [MemberData(nameof(BadArchives))]
    public void Open_BadArchive_IsRefusedWithTheReason(string what, byte[] archive, string reason)
    {
        Assert.NotEmpty(what);
        Assert.Contains(reason, Refusal(archive), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("float32.pt")]
    [InlineData("simple_legacy.pt")]
    public void Open_EveryTruncation_IsRefused(string name)
    {
        var whole = File.ReadAllBytes(Fixtures.Path("torch-pt", name));
        for (var length = 1; length < whole.Length; length++)
            Refusal(whole[..length]);
    }

    [Theory]
    [InlineData("state_dict.pt")]
    [InlineData("simple_legacy.pt")]
    public void Open_EveryByteWithOneBitChanged_OpensOrIsRefused(string name)
    {
        var whole = File.ReadAllBytes(Fixtures.Path("torch-pt", name));
        var path = _folder.File("a.pt");
        for (var at = 0; at < whole.Length; at++)
        {
            var changed = (byte[])whole.Clone();
            changed[at] ^= (byte)(1 << (at % 8));
            Replace(path, changed);
            try
            {
                using var file = TorchFile.Open(path);
            }
            catch (InvalidDataException error)
            {
                Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void Open_LegacyStorageWithAnotherLength_IsRefused()
    {
        var bytes = File.ReadAllBytes(Fixtures.Path("torch-pt", "simple_legacy.pt"));
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(550), long.MaxValue); // the count before the first storage
        AssertRefused(bytes, "storage '94081729644960' has 9,223,372,036,854,775,807 values at byte 550, expected 2. Was it cut short?");
    }

    [Fact]
    public void Open_SelfContainingAndSharedValues_AreNotWalked()
    {
        // A list inside itself, and tuples that hold the one before twice: 2^60 values for whoever walks them.
        var pickle = new Pickle().Op(']').Op('q').Raw(0).Op('h').Raw(0).Op('a').Raw(0x85);
        for (byte i = 1; i < 60; i++)
            pickle.Op('q').Raw(i).Op('h').Raw(i).Raw(0x86);
        using var file = TorchFile.Open(_folder.Write("a.pt", TorchZip.Save(pickle.Stop())));
        Assert.IsType<object?[]>(file.Root);
    }

    private string Refusal(byte[] bytes)
    {
        var path = _folder.File("a.pt");
        Replace(path, bytes);
        var error = Assert.Throws<InvalidDataException>(() => TorchFile.Open(path).Dispose());
        Assert.StartsWith($"{path}: ", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
        return error.Message[(path.Length + 2)..];
    }

    // Overwriting a file makes some file systems wait for the disk; a new one costs nothing.
    private static void Replace(string path, byte[] bytes)
    {
        File.Delete(path);
        File.WriteAllBytes(path, bytes);
    }

    private void AssertRefused(byte[] bytes, string message, bool contains = false)
    {
        var refusal = Refusal(bytes);
        if (contains)
            Assert.Contains(message, refusal, StringComparison.Ordinal);
        else
            Assert.Equal(message, refusal);
    }
}
