using System.Text;
using global::Parquet;
using global::Parquet.Schema;
using LlamaFullstack.Data.Datasets;
using LlamaFullstack.Data.Parquet;

namespace LlamaFullstack.Data.Tests.Datasets;

public sealed class ParquetStoryReaderTests : IDisposable
{
    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task Read_SeveralRowGroups_GivesTheColumn()
    {
        var path = await Write(["text"], [[" one\r\n", "", "two \ud83d\ude00"], ["three"]]);
        Assert.Equal(["one", "", "two \ud83d\ude00", "three"], ReadAll(path, null));
        Assert.Equal(["one", "", "two \ud83d\ude00", "three"], ReadAll(path, "text"));
    }

    [Fact]
    public async Task Read_TwoColumns_TakesTheNamedOne()
    {
        var path = await Write(["id", "story"], [["a", "b"]]);
        Assert.Equal(["a-story", "b-story"], ReadAll(path, "story").Select((text, _) => text + "-story"));
        Assert.Equal($"{path}: 2 columns of text. Name one with --text_column: id, story.", Problem(() => ReadAll(path, null)));
        Assert.Equal($"{path}: no column of text \"n\". Name one with --text_column: id, story.", Problem(() => ReadAll(path, "n")));
    }

    [Fact]
    public async Task Read_MissingText_NamesTheRow()
    {
        var path = await Write(["text"], [["a", null]]);
        Assert.Equal($"{path}: the \"text\" of row 1 is missing. Leave such rows out.", Problem(() => ReadAll(path, null)));
    }

    [Fact]
    public async Task Read_CutAnywhere_SaysSo()
    {
        var whole = File.ReadAllBytes(await Write(["text"], [["a story", "another one"]]));
        var path = _temp.File("cut.parquet");
        for (var length = 0; length < whole.Length; length += 7)
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.StartsWith($"{path}: not a whole .parquet file (", Problem(() => ReadAll(path, null)), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Dataset_OfParquet_IsOneByItsPath()
    {
        var path = await Write(["text"], [["a"], ["b"]]);
        var dataset = FileDataset.Open(new DataFolder(_temp.File("data"), path), null, [ParquetStoryReader.Format]);
        Assert.Equal("stories", dataset.Name);
        using var reader = dataset.Open(dataset.Files[0]);
        Assert.True(reader.Read());
        Assert.Equal("a"u8, reader.Story);
    }

    private static string Problem(Action action)
    {
        var message = Assert.Throws<InvalidDataException>(action).Message;
        Assert.DoesNotContain('\n', message);
        return message;
    }

    private static List<string> ReadAll(string path, string? column)
    {
        using var reader = ParquetStoryReader.Open(path, column);
        var stories = new List<string>();
        while (reader.Read())
            stories.Add(Encoding.UTF8.GetString(reader.Story));
        return stories;
    }

    /// <summary>Every column gets the same texts.</summary>
    private async Task<string> Write(string[] columns, string?[][] groups)
    {
        var path = _temp.File("stories.parquet");
        var fields = columns.Select(name => new DataField(name, typeof(string), true)).ToArray();
        await using var file = File.Create(path);
        await using var writer = await ParquetWriter.CreateAsync(new ParquetSchema(fields), file);
        foreach (var texts in groups)
        {
            using var group = writer.CreateRowGroup();
            foreach (var field in fields)
                await group.WriteAsync(field, texts!);
        }
        return path;
    }
}
