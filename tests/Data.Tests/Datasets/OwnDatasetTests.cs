using LlamaFullstack.Data.Datasets;
using LlamaFullstack.Data.Stories;
using LlamaFullstack.Data.Tokens;
using LlamaFullstack.Data.VocabularyTraining;

namespace LlamaFullstack.Data.Tests.Datasets;

/// <summary>The README's example of a dataset in code, as it stands there.</summary>
public class OwnDatasetTests
{
    private sealed class Songs(string folder) : Dataset
    {
        public override string Name => "songs";

        public override IReadOnlyList<string> Files => [.. Directory.GetFiles(folder, "*.csv").Order()];

        public override StoryReader Open(string file) => StoryReader.Of(File.ReadLines(file).Select(line => line.Split(';')[1]));
    }

    [Fact]
    public async Task Pretokenize_OwnDataset_WorksFromTextToSplits()
    {
        using var temp = new TempFolder();
        temp.Write("csv/a.csv", "1; one two three \n2;two\n"u8.ToArray());
        temp.Write("csv/b.csv", "3;three two one\n4;\ud83d\ude00\n"u8.ToArray());

        var songs = new Songs(temp.File("csv"));
        var folder = new DataFolder(temp.File("data"), songs.Name);
        var settings = new VocabularyTrainerSettings { VocabSize = 270 };
        VocabularyFiles.Write(folder, VocabularyTrainer.Train(StoryWords.Count(songs, songs.Files, settings, threads: 2), settings));
        var made = await Pretokenizer.RunAsync(songs, folder, 270);

        Assert.Equal(4, made.Stories);
        Assert.Equal(["../../../csv/a.csv"], made.Shards[0].Sources);
        Assert.Equal(["b.bin", "a.bin"], [.. TokenSplits.Find(folder, 270).Train.Concat(TokenSplits.Find(folder, 270).Validation).Select(Path.GetFileName)]);
    }
}
