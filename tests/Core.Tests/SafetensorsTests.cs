using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using LlamaFullstack.Core.Formats;

namespace LlamaFullstack.Core.Tests;

public class SafetensorsTests
{
    [Fact]
    public void Write_ThenOpen_GivesTensorsAndMetadata()
    {
        using var folder = new TempFolder();
        var path = folder.File("a.safetensors");
        float[] values = [1, -2, float.MaxValue, float.Epsilon, 0, 6];
        SafetensorsWriter.Write(path, new Dictionary<string, string> { ["format"] = "test", ["note"] = "\"quoted\"\n" },
            [SafetensorsEntry.Create("w", "F32", 2, 3), SafetensorsEntry.Create("scalar", "I64"), SafetensorsEntry.Create("none", "F32", 0)],
            (entry, stream) => stream.Write(entry.Name switch
            {
                "w" => MemoryMarshal.AsBytes(values.AsSpan()),
                "scalar" => BitConverter.GetBytes(42L),
                _ => [],
            }));

        using var file = SafetensorsFile.Open(path);
        Assert.Equal(["w", "scalar", "none"], file.Tensors.Select(tensor => tensor.Name).Order().Reverse().OrderBy(name => name switch { "w" => 0, "scalar" => 1, _ => 2 }));
        Assert.Equal("\"quoted\"\n", file.Metadata["note"]);
        var read = new float[6];
        file.ReadFloats("w", read);
        Assert.Equal(values, read);
        Assert.True(file.TryGet("scalar", out var scalar));
        Assert.Equal(("I64", 0, 8L), (scalar.Dtype, scalar.Shape.Count, scalar.ByteLength));
        Assert.Contains("scalar is of I64, expected floats", Assert.Throws<InvalidDataException>(() => file.ReadFloats("scalar", new float[1])).Message);
        Assert.True(file.TryGet("w", out var entry));
        Assert.Equal([2, 3], entry.Shape);
        Assert.Equal(0, new FileInfo(path).Length % 8 - (24 + 8) % 8);
    }

    [Fact]
    public void ReadFloats_HalfAndBfloat16_AreConverted()
    {
        using var folder = new TempFolder();
        SafetensorsWriter.Write(folder.File("a"), new Dictionary<string, string>(),
            [SafetensorsEntry.Create("f16", "F16", 2), SafetensorsEntry.Create("bf16", "BF16", 2), SafetensorsEntry.Create("f64", "F64", 1)],
            (entry, stream) => stream.Write(entry.Name switch
            {
                "f16" => [0x00, 0x3C, 0x00, 0xC0], // 1, -2
                "bf16" => [0x80, 0x3F, 0x00, 0xC0],
                _ => BitConverter.GetBytes(0.5),
            }));
        using var file = SafetensorsFile.Open(folder.File("a"));
        var two = new float[2];
        file.ReadFloats("f16", two);
        Assert.Equal([1f, -2f], two);
        file.ReadFloats("bf16", two);
        Assert.Equal([1f, -2f], two);
        var one = new float[1];
        file.ReadFloats("f64", one);
        Assert.Equal([0.5f], one);
        Assert.Contains("has 2 values, expected 1", Assert.Throws<InvalidDataException>(() => file.ReadFloats("f16", one)).Message);
        Assert.Contains("has no tensor x", Assert.Throws<InvalidDataException>(() => file.ReadFloats("x", one)).Message);
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", "needs 8 bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", "leave a gap")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "overlap")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", "stands twice")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}""", "larger than any file")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", "dimension -2")]
    [InlineData("""{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}""", "dtype 'F33'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}""", "lacks a shape or two data_offsets")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,8]}}""", "JSON")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"code":1}}""", "field 'code'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}""", "9 dimensions")]
    [InlineData("""{"a\u001b[2J":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", "'a\\u001b[2J'")]
    [InlineData("""{"a":7}""", "JSON")]
    [InlineData("""[]""", "JSON")]
    [InlineData("""{""", "JSON")]
    [InlineData("""{} {}""", "JSON")]
    [InlineData("", "JSON")]
    [InlineData("""{}""", "end at byte")]
    public void Open_HostileHeader_SaysWhatIsWrong(string header, string message)
    {
        using var folder = new TempFolder();
        var path = folder.Write("hostile", [.. BitConverter.GetBytes((long)header.Length), .. Encoding.UTF8.GetBytes(header), .. new byte[8]]);
        var error = Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(path));
        Assert.StartsWith(path, error.Message);
        Assert.Contains(message, error.Message);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void Open_EveryTruncationAndAHugeHeader_AreRefused()
    {
        using var folder = new TempFolder();
        SafetensorsWriter.Write(folder.File("whole"), new Dictionary<string, string> { ["k"] = "v" },
            [SafetensorsEntry.Create("w", "F32", 5)], (_, stream) => stream.Write(new byte[20]));
        var whole = File.ReadAllBytes(folder.File("whole"));
        for (var length = 0; length < whole.Length; length++)
            Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(folder.Write("cut", whole[..length])));
        BinaryPrimitives.WriteUInt64LittleEndian(whole, ulong.MaxValue);
        Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(folder.Write("huge", whole)));
    }

    [Fact]
    public void Write_ATensorOfTheWrongLength_KeepsTheOldFile()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder.File("a"), "old");
        Assert.Throws<InvalidOperationException>(() => SafetensorsWriter.Write(folder.File("a"), new Dictionary<string, string>(),
            [SafetensorsEntry.Create("w", "F32", 5)], (_, stream) => stream.Write(new byte[19])));
        Assert.Equal("old", File.ReadAllText(folder.File("a")));
    }
}
