using LlamaFullstack.Data.Tokens;

namespace LlamaFullstack.Data.Tests.Tokens;

public class TokenShardTests
{
    private static readonly byte[] ThreeTokens = [1, 0, 0x34, 0x12, 0xFF, 0xFF];

    [Fact]
    public void Read_PartOfShard_GivesLittleEndianTokens()
    {
        using var folder = new TempFolder();
        using var shard = TokenShard.Open(folder.Write("data00.bin", ThreeTokens));
        Assert.Equal(3, shard.Length);

        var all = new long[3];
        shard.Read(0, all);
        Assert.Equal([1, 0x1234, 0xFFFF], all);

        var last = new long[1];
        shard.Read(2, last);
        Assert.Equal([0xFFFF], last);
        shard.Read(3, []);
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, 4)]
    [InlineData(3, 1)]
    [InlineData(long.MaxValue, 1)]
    public void Read_OutsideShard_Throws(long start, int count)
    {
        using var folder = new TempFolder();
        using var shard = TokenShard.Open(folder.Write("data00.bin", ThreeTokens));
        Assert.Throws<ArgumentOutOfRangeException>(() => shard.Read(start, new long[count]));
    }

    [Fact]
    public void Open_EmptyFile_Throws()
    {
        using var folder = new TempFolder();
        var path = folder.Write("data00.bin", []);
        Assert.Equal($"{path}: the file is empty.", Assert.Throws<InvalidDataException>(() => TokenShard.Open(path)).Message);
    }

    [Fact]
    public void Open_OddSize_Throws()
    {
        using var folder = new TempFolder();
        var path = folder.Write("data00.bin", new byte[1001]);
        var error = Assert.Throws<InvalidDataException>(() => TokenShard.Open(path));
        Assert.Equal(
            $"{path}: 1,001 bytes is not a whole number of 2-byte tokens. Was it cut short? Delete it and pretokenise again.", error.Message);
    }
}
