using System.Formats.Tar;
using System.IO.Compression;
using System.Text;
using LlamaFullstack.Data.Downloading;

namespace LlamaFullstack.Data.Tests.Downloading;

public sealed class TinyStoriesDownloadTests : IDisposable
{
    private readonly TempFolder _temp = new();
    private readonly DataFolder _folder;

    public TinyStoriesDownloadTests() => _folder = new DataFolder(_temp.File("data"), DataFolder.TinyStories);

    private string Archive => Path.Combine(_folder.Root, "TinyStories_all_data.tar.gz");

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task Run_GoodArchive_GivesItsShards()
    {
        var archive = TarGz(
            new UstarTarEntry(TarEntryType.Directory, "./"), Plain("./data00.json", "[0]"), Plain("data01.json", "[1]"),
            Plain("TinyStories/data02.json", "[2]"), Plain("._data00.json", "rubbish of macOS"), Plain("README.md", "read me"));
        using var server = BadServer.ForFile(() => new(archive));
        Assert.Equal((3, false), await TinyStoriesDownload.RunAsync(_folder, server.Address()));
        Assert.Equal(["data00.json", "data01.json", "data02.json"], Directory.GetFileSystemEntries(_folder.Stories).Select(Path.GetFileName).Order());
        Assert.Equal(["[0]", "[1]", "[2]"], _folder.StoryShards().Select(File.ReadAllText));
        Assert.Equal(archive, File.ReadAllBytes(Archive));
    }

    [Fact]
    public async Task Run_Again_DownloadsNothingAndMendsShards()
    {
        var archive = TarGz(Plain("data00.json", "[0]"), Plain("data01.json", "[1]"), Plain("data02.json", "[2]"));
        using var server = BadServer.ForFile(() => new(archive));
        await TinyStoriesDownload.RunAsync(_folder, server.Address());
        var written = File.GetLastWriteTimeUtc(_folder.StoryShards()[0]);
        File.WriteAllText(_folder.StoryShards()[1], "[");
        File.Delete(_folder.StoryShards()[2]);

        Assert.Equal((3, false), await TinyStoriesDownload.RunAsync(_folder, server.Address()));
        Assert.Single(server.Requests);
        Assert.Equal(["[0]", "[1]", "[2]"], _folder.StoryShards().Select(File.ReadAllText));
        Assert.Equal(written, File.GetLastWriteTimeUtc(_folder.StoryShards()[0]));

        File.Delete(Archive);
        Assert.Equal((3, true), await TinyStoriesDownload.RunAsync(_folder, server.Address()));
        Assert.Single(server.Requests);
    }

    [Fact]
    public async Task Run_ShardsBesideAPartOfTheArchive_GoesOn()
    {
        Directory.CreateDirectory(_folder.Stories);
        File.WriteAllText(Path.Combine(_folder.Stories, "data00.json"), "[");
        _temp.Write("data/TinyStories_all_data.tar.gz.part", [1, 2, 3]);
        using var server = BadServer.ForFile(() => new(TarGz(Plain("data00.json", "[0]"))));
        Assert.Equal((1, false), await TinyStoriesDownload.RunAsync(_folder, server.Address()));
        Assert.Equal("[0]", File.ReadAllText(_folder.StoryShards()[0]));
    }

    [Theory]
    [InlineData("../evil.json")]
    [InlineData("a/../../evil.json")]
    [InlineData("..\\evil.json")]
    [InlineData("/tmp/evil.json")]
    [InlineData("\\evil.json")]
    [InlineData("C:\\evil.json")]
    [InlineData("data00.json:stream.json")]
    [InlineData("evil\n.json")]
    [InlineData("..")]
    public void Unpack_NameThatLeavesTheFolder_Throws(string name)
    {
        Write(TarGz(Plain("data00.json", "[0]"), Plain(name, "[]")));
        Assert.Equal($"{Archive}: '{name.Replace("\n", "\\u000a")}' would lie outside of the folder; nothing of that kind is unpacked.", Problem());
        Assert.Equal([_folder.Root, Archive, _folder.Stories], Everything());
    }

    [Theory]
    [InlineData(TarEntryType.SymbolicLink)]
    [InlineData(TarEntryType.HardLink)]
    [InlineData(TarEntryType.Fifo)]
    [InlineData(TarEntryType.CharacterDevice)]
    public void Unpack_NoPlainFile_Throws(TarEntryType type)
    {
        var entry = new UstarTarEntry(type, "data00.json");
        if (type is TarEntryType.SymbolicLink or TarEntryType.HardLink)
            entry.LinkName = "/etc/passwd";
        Write(TarGz(entry, Plain("data00.json", "[]")));
        Assert.Equal($"{Archive}: 'data00.json' is a {type}; only plain files are unpacked.", Problem());
        Assert.Equal([_folder.Root, Archive, _folder.Stories], Everything());
    }

    [Fact]
    public void Unpack_Bomb_StopsBeforeItWrites()
    {
        Write(TarGz(Plain("data00.json", new string(' ', 10_000_000))));
        Assert.StartsWith($"{Archive}: unpacks to over 200 times its size", Problem(), StringComparison.Ordinal);
        Assert.Equal([_folder.Root, Archive, _folder.Stories], Everything());
    }

    [Fact]
    public void Unpack_DiskTooFull_SaysHowMuchIsNeeded()
    {
        Write(TarGz(Plain("data00.json", "[1234]")));
        var error = Assert.Throws<IOException>(() => StoryArchive.Unpack(Archive, _folder.Stories, _ => 5, null, default));
        Assert.Equal($"{_folder.Stories}: 5 bytes are free on this disk, but data00.json needs 6. Make room, then run the command again to go on.", error.Message);
    }

    [Theory]
    [InlineData("data00.json", "DATA00.json", "holds DATA00.json twice.")]
    [InlineData("a/data00.json", "b/data00.json", "holds data00.json twice.")]
    [InlineData("data00.txt", "README", "holds no story shards (*.json).")]
    public void Unpack_NamesThatMakeNoDataset_Throws(string one, string other, string message)
    {
        Write(TarGz(Plain(one, "[]"), Plain(other, "[]")));
        Assert.Equal($"{Archive}: {message}", Problem());
    }

    [Fact]
    public void Unpack_EveryTruncationAndEveryByteChanged_GivesRightShardsOrNone()
    {
        var archive = TarGz(Plain("data00.json", "[\"abc\"]"), Plain("data01.json", "[\"def\"]"));
        var damaged = Enumerable.Range(0, archive.Length).SelectMany(i => new byte[][]
        {
            archive[..i],
            [.. archive[..i], (byte)(archive[i] ^ 0x55), .. archive[(i + 1)..]],
        });
        var refused = 0;
        foreach (var bytes in damaged)
        {
            Write(bytes);
            try
            {
                Assert.Equal(2, StoryArchive.Unpack(Archive, _folder.Stories, _ => long.MaxValue, null, default));
                Assert.Equal(["[\"abc\"]", "[\"def\"]"], _folder.StoryShards().Select(File.ReadAllText));
                Directory.Delete(_folder.Stories, recursive: true);
            }
            catch (InvalidDataException e)
            {
                Assert.StartsWith(Archive, e.Message, StringComparison.Ordinal);
                Assert.Empty(_folder.StoryShards());
                refused++;
            }
        }
        // Some of gzip's and tar's bytes mean nothing for the content: times, flags, owners, the padding at the end.
        Assert.InRange(refused, 2 * archive.Length * 3 / 4, 2 * archive.Length);
    }

    [Fact]
    public void Unpack_NotGzip_Throws()
    {
        Write("<html>Please log in to this network.</html>"u8.ToArray());
        Assert.StartsWith($"{Archive}: not a whole .tar.gz archive (", Problem(), StringComparison.Ordinal);
        Assert.EndsWith("). Delete it and download again.", Problem(), StringComparison.Ordinal);
    }

    [Fact]
    public void Unpack_Cancelled_LeavesNoPartOfAShard()
    {
        Write(TarGz(Plain("data00.json", "[]")));
        Assert.Throws<OperationCanceledException>(
            () => StoryArchive.Unpack(Archive, _folder.Stories, _ => long.MaxValue, null, new CancellationToken(canceled: true)));
        Assert.Equal([_folder.Root, Archive, _folder.Stories], Everything());
    }

    private string Problem() =>
        Assert.Throws<InvalidDataException>(() => StoryArchive.Unpack(Archive, _folder.Stories, _ => long.MaxValue, null, default)).Message;

    private void Write(byte[] archive) => _temp.Write("data/TinyStories_all_data.tar.gz", archive);

    private IEnumerable<string> Everything() =>
        Directory.GetFileSystemEntries(_temp.Path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).OrderBy(path => path != _folder.Root && path != Archive);

    private static UstarTarEntry Plain(string name, string content) =>
        new(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(content)) };

    private static byte[] TarGz(params TarEntry[] entries)
    {
        var bytes = new MemoryStream();
        using (var gzip = new GZipStream(bytes, CompressionLevel.SmallestSize))
        using (var tar = new TarWriter(gzip))
            foreach (var entry in entries)
                tar.WriteEntry(entry);
        return bytes.ToArray();
    }
}
