using System.IO.Compression;
using System.Text;
using CsCheck;
using LlamaFullstack.Data.Stories;

namespace LlamaFullstack.Data.Tests.Stories;

public class TextStoryReaderTests
{
    [Theory]
    [InlineData("", null)]
    [InlineData("one", null, "one")]
    [InlineData("one\ntwo\n\n \n\t\nthree\n", null, "one\ntwo", "three")]
    [InlineData("a\n\nb\n<|endoftext|>\nc\n<|endoftext|>\n", null, "a\n\nb", "c")]
    [InlineData("a <|endoftext|> b\n\nc", null, "a <|endoftext|> b", "c")]      // not a line of its own
    [InlineData("a\n\nb\n<|endoftext|>\nc", "blank", "a", "b\n<|endoftext|>\nc")]
    [InlineData("a\n\n b \nc", "line", "a", "b", "c")]
    [InlineData("a\n\nb\n---\nc", "none", "a\n\nb\n---\nc")]
    [InlineData("a\n\nb\n---\nc\n--- \nd", "---", "a\n\nb", "c\n--- \nd")]
    public void Read_Separators_PartStories(string text, string? separator, params string[] stories)
    {
        Assert.Equal(stories, ReadAll(text, separator));
        Assert.Equal(stories, ReadAll(text.Replace("\n", "\r\n"), separator));      // CRLF
        Assert.Equal(stories, ReadAll("\uFEFF" + text, separator));                 // BOM
    }

    [Fact]
    public void Read_NulAndOtherCharacters_StayAsTheyAre() =>
        Assert.Equal(["a\0b\rc\u2581\u0085\n\u2028d"], ReadAll("a\0b\rc\u2581\u0085\n\u2028d", null));

    [Theory]
    [InlineData(new byte[] { (byte)'a', 0xC3 }, 0)]
    [InlineData(new byte[] { (byte)'a', 10, 10, 0xED, 0xA0, 0x80, 10 }, 3)]     // an unpaired surrogate
    [InlineData(new byte[] { (byte)'a', 0xFF, 0xFE, 0 }, 0)]
    public void Read_NotUtf8_NamesTheByte(byte[] text, int place)
    {
        var error = Assert.Throws<InvalidDataException>(() => ReadAll(text, null));
        Assert.Equal($"a.txt: the story at byte {place} is not valid UTF-8. Convert the file to UTF-8 (iconv -t UTF-8).", error.Message);
    }

    [Theory]
    [InlineData(new byte[] { 0xFF, 0xFE, (byte)'a', 0 }, "UTF-16")]
    [InlineData(new byte[] { 0xFE, 0xFF, 0, (byte)'a' }, "UTF-16")]
    [InlineData(new byte[] { 0xFF, 0xFE, 0, 0, (byte)'a', 0, 0, 0 }, "UTF-32")]
    public void Read_Utf16Or32_IsCalledThat(byte[] text, string encoding)
    {
        foreach (var reader in new StoryReader[] { new TextStoryReader(new MemoryStream(text), "a.txt"), new JsonStoryReader(new MemoryStream(text), "a.txt") })
            using (reader)
                Assert.Equal($"a.txt: is {encoding}, expected UTF-8. Convert it first (iconv -f {encoding} -t UTF-8).", Assert.Throws<InvalidDataException>(() => reader.Read()).Message);
    }

    [Fact]
    public void Read_StoriesAroundTheWindow_AreWhole()
    {
        int[] lengths = [1, 131_069, 131_070, 131_071, 131_072, 5, 262_144, 1_000_003, 7];
        var stories = lengths.Select((length, i) => new string((char)('a' + i), length)).ToArray();
        Assert.Equal(stories, ReadAll(string.Join("\n\n", stories), null));
        Assert.Equal(stories, ReadAll(string.Join("\r\n\r\n", stories), null));
        Assert.Equal(stories, ReadAll(string.Join("\n", stories), "line"));
    }

    [Fact]
    public void Read_AnyLines_AreThoseOfTheText() =>
        Gen.String[Gen.Char["ab \t\u00e9"], 0, 20].Array.Sample(lines =>
            ReadAll(string.Join('\n', lines), "line").SequenceEqual(lines.Select(line => line.Trim()).Where(line => line.Length > 0)));

    [Fact]
    public void Open_GZip_ReadsTheTextAndNoticesEveryTruncation()
    {
        using var temp = new TempFolder();
        var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Optimal, leaveOpen: true))
            gzip.Write("one\n\ntwo\n"u8);
        var path = temp.Write("a.txt.gz", packed.ToArray());
        using (var reader = TextStoryReader.Open(path))
        {
            Assert.True(reader.Read());
            Assert.True(reader.Read());
            Assert.False(reader.Read());
            Assert.Equal(packed.Length, reader.Position);
        }
        for (var length = 0; length < packed.Length; length++)
        {
            File.WriteAllBytes(path, packed.ToArray()[..length]);
            using var reader = TextStoryReader.Open(path);
            var error = Assert.Throws<InvalidDataException>(() => reader.Read());
            Assert.StartsWith($"{path}: ", error.Message, StringComparison.Ordinal);
        }
    }

    private static List<string> ReadAll(string text, string? separator) => ReadAll(Encoding.UTF8.GetBytes(text), separator);

    private static List<string> ReadAll(byte[] text, string? separator)
    {
        using var reader = new TextStoryReader(new MemoryStream(text), "a.txt", separator);
        var stories = new List<string>();
        while (reader.Read())
            stories.Add(Encoding.UTF8.GetString(reader.Story));
        return stories;
    }
}
