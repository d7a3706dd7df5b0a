using System.Text;
using CsCheck;
using LlamaFullstack.Core.Tokenization;

namespace LlamaFullstack.Core.Tests;

public class Utf8StreamTests
{
    [Fact]
    public void Push_EmojiByteByByte_ComesWhole()
    {
        var stream = new Utf8Stream();
        var bytes = Encoding.UTF8.GetBytes("😀");
        for (var i = 0; i < 3; i++)
            Assert.Equal(0, stream.Push([bytes[i]]).Length);
        Assert.Equal("😀", Encoding.UTF8.GetString(stream.Push([bytes[3]])));
        Assert.Equal(0, stream.Flush().Length);
    }

    [Fact]
    public void Push_AnyTextInAnyPieces_IsTheText()
    {
        Gen.String.Where(text => !text.Any(char.IsControl)).Select(Gen.Int[1, 5]).Sample((text, size) =>
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            var stream = new Utf8Stream();
            var shown = new List<byte>();
            foreach (var piece in bytes.Chunk(size))
            {
                shown.AddRange(stream.Push(piece));
                Encoding.UTF8.GetString([.. shown]); // never ends inside a character:
                Assert.DoesNotContain('\ufffd', new UTF8Encoding(false, true).GetString([.. shown]).Except(text));
            }
            shown.AddRange(stream.Flush());
            Assert.Equal(bytes, shown);
        });
    }

    [Fact]
    public void Push_BytesThatAreNoText_BecomeReplacementCharacters()
    {
        var stream = new Utf8Stream();
        Assert.Equal("\ufffda", Encoding.UTF8.GetString(stream.Push([0xFF, (byte)'a'])));
        Assert.Equal("", Encoding.UTF8.GetString(stream.Push([0xE4, 0xB8])));
        Assert.Equal("\ufffdb", Encoding.UTF8.GetString(stream.Push([(byte)'b'])));
        Assert.Equal("", Encoding.UTF8.GetString(stream.Push([0xE4])));
        Assert.Equal("\ufffd", Encoding.UTF8.GetString(stream.Flush()));
    }

    [Fact]
    public void Push_ControlCharacters_AreDroppedButWhiteSpaceIsNot()
    {
        Assert.Equal("a[2J\n\tb", Encoding.UTF8.GetString(new Utf8Stream().Push(Encoding.UTF8.GetBytes("a\u009b[2J\n\tb\u0085")))); // the same command in one character
        Assert.Equal("a[2J\n\tb", Encoding.UTF8.GetString(new Utf8Stream().Push(Encoding.UTF8.GetBytes("a\u001b[2J\0\n\tb\u007f"))));
    }
}
