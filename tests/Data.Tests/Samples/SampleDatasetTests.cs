using System.Security.Cryptography;
using System.Text;
using LlamaFullstack.Data.Samples;
using LlamaFullstack.Data.Stories;

namespace LlamaFullstack.Data.Tests.Samples;

public class SampleDatasetTests
{
    [Fact]
    public void Write_Defaults_GivesTheSameBytesEverywhere()
    {
        // What the generator gave when its words and plots were last changed; it may not depend on the machine.
        const string Expected = "f05650216a388154f44f5feccc1dfe218dd972f692ab32e6c7221d1d45595869";
        using var temp = new TempFolder();
        var folder = new DataFolder(temp.Path, DataFolder.Sample);
        SampleDataset.Write(folder);

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var shard in folder.StoryShards())
            hash.AppendData(File.ReadAllBytes(shard));
        Assert.Equal(Expected, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    [Theory]
    [InlineData(10)]
    [InlineData(57)]
    public void Write_AnyNumber_SpreadsTheStoriesInOrder(int stories)
    {
        using var temp = new TempFolder();
        var folder = new DataFolder(temp.Path, DataFolder.Sample);
        SampleDataset.Write(folder, stories, seed: 7);

        var shards = folder.StoryShards().Select(ReadAll).ToArray();
        Assert.Equal(SampleDataset.Shards, shards.Length);
        Assert.All(shards, shard => Assert.InRange(shard.Count, stories / 10, stories / 10 + 1));
        Assert.Equal(SampleStories.Generate(7).Take(stories), shards.SelectMany(shard => shard));
    }

    [Fact]
    public void Write_FewerStoriesThanShards_Throws()
    {
        using var temp = new TempFolder();
        Assert.Throws<ArgumentOutOfRangeException>(() => SampleDataset.Write(new DataFolder(temp.Path, DataFolder.Sample), stories: 9));
        Assert.Empty(Directory.GetFileSystemEntries(temp.Path));
    }

    [Fact]
    public void Write_Cancelled_LeavesNoPartOfAShard()
    {
        using var temp = new TempFolder();
        var folder = new DataFolder(temp.Path, DataFolder.Sample);
        Assert.Throws<OperationCanceledException>(() => SampleDataset.Write(folder, cancellation: new CancellationToken(canceled: true)));
        Assert.Empty(Directory.GetFiles(folder.Stories));
    }

    private static List<string> ReadAll(string path)
    {
        using var reader = JsonStoryReader.Open(path);
        var stories = new List<string>();
        while (reader.Read())
            stories.Add(Encoding.UTF8.GetString(reader.Story));
        return stories;
    }
}
