using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using LlamaFullstack.Core.Formats;
using LlamaFullstack.Core.Tokenization;
using LlamaFullstack.Data.Datasets;
using LlamaFullstack.Data.Loading;
using LlamaFullstack.Data.Stories;
using LlamaFullstack.Data.Tokens;

namespace LlamaFullstack.Data.Tests.Tokens;

public class PretokenizerTests
{
    // Derived from Debian's spm_encode 0.1.97: the SHA-256 over all eight shards of the real stories, each token in 2 bytes and
    // BOS in front of each story. spm_encode takes lines, so a newline went through it as U+0001 (one byte token, id 4) and was
    // put back as id 13.
    [Theory]
    [InlineData(512, "stories260K/tok512.model", 681_639, "7c2db50c09e0a24d271a7f41e8f3e6f264520bdbdeecd8b3c784132656c48c63")]
    [InlineData(0, "llama2-tokenizer/tokenizer.model", 373_356, "55ff24cc35d24abd1cf8b1a3ac6d406a9c77de0219d89b6dd6622095a211214a")]
    public async Task Run_RealStories_GivesSentencepiecesIds(int vocabSize, string model, int tokens, string sha256)
    {
        using var temp = new TempFolder();
        var folder = new DataFolder(temp.Path, DataFolder.TinyStories);
        Directory.CreateDirectory(folder.Stories);
        foreach (var shard in Directory.GetFiles(Fixtures.Path("tinystories", "TinyStories_all_data"), "*.json"))
            File.Copy(shard, Path.Combine(folder.Stories, Path.GetFileName(shard)));
        File.Copy(Fixtures.Path(model.Split('/')), folder.TokenizerModel(vocabSize));

        var manifest = await Run(folder, vocabSize);

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var shard in folder.TokenShards(vocabSize))
            hash.AppendData(File.ReadAllBytes(shard));
        Assert.Equal(sha256, Convert.ToHexStringLower(hash.GetHashAndReset()));
        Assert.Equal((1727, tokens), (manifest.Stories, manifest.Tokens));
        manifest.Check(folder.Tokens(vocabSize), folder.TokenizerModel(vocabSize));
    }

    [Fact]
    public async Task Run_WhileAnotherWritesTheShards_SaysSoAndLeavesThemAlone()
    {
        using var temp = new TempFolder();
        var folder = Prepare(temp, [["ab"], ["b"]]);
        using (new FolderLock(folder.Tokens(VocabSize), ""))
            Assert.StartsWith($"{folder.Tokens(VocabSize)}: another process is writing into this folder.", (await Assert.ThrowsAsync<IOException>(() => Run(folder, VocabSize))).Message);
        Assert.Empty(Directory.GetFiles(folder.Tokens(VocabSize)));
        await Run(folder, VocabSize);
    }

    [Fact]
    public async Task Run_SmallDataset_WritesBosAndTokensWithoutEos()
    {
        using var temp = new TempFolder();
        var folder = Prepare(temp, [["ab", ""], ["b"]]);
        await Run(folder, VocabSize);
        Assert.Equal([1, Space, A, B, 1], Tokens(folder, "data00.bin"));
        Assert.Equal([1, Space, B], Tokens(folder, "data01.bin"));
        Assert.Equal(
            ["data00.bin", "data01.bin", TokenManifest.FileName],
            Directory.GetFiles(folder.Tokens(VocabSize)).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Run_Again_SkipsWhatIsUnchanged()
    {
        using var temp = new TempFolder();
        var folder = Prepare(temp, [["a"], ["b"], ["ab"], ["ba"]]);
        var first = await Run(folder, VocabSize);
        var written = folder.TokenShards(VocabSize).ToDictionary(path => path, File.GetLastWriteTimeUtc);

        StoryShardWriter.Write(folder.StoryShards()[1], ["a"]);         // same size, other story
        File.Delete(folder.TokenShards(VocabSize)[3]);                  // deleted
        File.WriteAllBytes(folder.TokenShards(VocabSize)[2], [1, 0]);   // cut short
        var reports = new List<PretokenizeProgress>();
        var second = await Run(folder, VocabSize, new Immediate<PretokenizeProgress>(reports.Add));

        Assert.Equal(written[folder.TokenShards(VocabSize)[0]], File.GetLastWriteTimeUtc(folder.TokenShards(VocabSize)[0]));
        Assert.Equal([1, Space, A], Tokens(folder, "data01.bin"));
        Assert.Equal([1, Space, A, B], Tokens(folder, "data02.bin"));
        Assert.Equal([1, Space, B, A], Tokens(folder, "data03.bin"));
        Assert.Equal(first.Shards.Skip(2).Select(shard => (shard.Name, shard.Tokens, shard.SourceSha256)), second.Shards.Skip(2).Select(shard => (shard.Name, shard.Tokens, shard.SourceSha256)));

        var bytes = folder.StoryShards().Sum(path => new FileInfo(path).Length);
        Assert.Equal(new PretokenizeProgress(4, 4, bytes, bytes, BytesSkipped: new FileInfo(folder.StoryShards()[0]).Length), reports[^1]);
        Assert.Equal(reports.Select(report => report.BytesDone).Order(), reports.Select(report => report.BytesDone));
    }

    [Fact]
    public async Task Run_OtherTokenizer_MakesAllAgain()
    {
        using var temp = new TempFolder();
        var folder = Prepare(temp, [["ab"]]);
        await Run(folder, VocabSize);
        WriteModel(folder, "b", "a");
        await Run(folder, VocabSize);
        Assert.Equal([1, Space, B, A], Tokens(folder, "data00.bin"));
    }

    [Fact]
    public async Task Run_OneBadShard_KeepsTheOthersAndSaysWhich()
    {
        using var temp = new TempFolder();
        var folder = Prepare(temp, [["a"], ["b"]]);
        var bad = Path.Combine(folder.Stories, "data02.json");
        File.WriteAllText(bad, "[{\"story\":\"a\"}");
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => Run(folder, VocabSize));
        Assert.StartsWith($"{bad}: byte 14: not valid JSON", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(Directory.GetFiles(folder.Tokens(VocabSize)), path => path.EndsWith(".tmp", StringComparison.Ordinal));

        File.Delete(bad);
        Assert.True((await Run(folder, VocabSize)).Complete);
    }

    [Fact]
    public async Task Run_Cancelled_GoesOnLater()
    {
        using var temp = new TempFolder();
        var folder = Prepare(temp, [.. Enumerable.Range(0, 20).Select(_ => new[] { "ab" })]);
        using var cancel = new CancellationTokenSource();
        var stopAfterFive = new Immediate<PretokenizeProgress>(report =>
        {
            if (report.ShardsDone == 5)
                cancel.Cancel();
        });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Run(folder, VocabSize, stopAfterFive, cancel.Token));

        var manifest = TokenManifest.Read(folder.Tokens(VocabSize))!;
        Assert.False(manifest.Complete);
        Assert.InRange(manifest.Shards.Count, 5, 19);
        var error = Assert.Throws<InvalidDataException>(() => manifest.Check(folder.Tokens(VocabSize), folder.TokenizerModel(VocabSize)));
        Assert.EndsWith($"pretokenising was stopped after {manifest.Shards.Count} shards. Run it again to finish.", error.Message, StringComparison.Ordinal);

        var whole = await Run(folder, VocabSize);
        Assert.True(whole.Complete);
        Assert.Equal(20, folder.TokenShards(VocabSize).Count);
    }

    [Theory]
    [InlineData(DataFolder.Sample, VocabSize, "Train the vocabulary first: llamafs data train_vocab --vocab_size=262 --dataset=sample --data_dir=")]
    [InlineData(DataFolder.TinyStories, VocabSize, "Train the vocabulary first: llamafs data train_vocab --vocab_size=262 --data_dir=")]
    [InlineData(DataFolder.TinyStories, 0, "Put Llama 2's own tokenizer.model there or in the current folder, or train a vocabulary: llamafs data train_vocab --vocab_size=4096 --data_dir=")]
    public async Task Run_NoTokenizer_SaysHowToGetIt(string dataset, int vocabSize, string advice)
    {
        using var temp = new TempFolder();
        var folder = new DataFolder(temp.Path, dataset);
        StoryShardWriter.Write(Path.Combine(folder.Stories, "data00.json"), ["a"]);
        var error = await Assert.ThrowsAsync<FileNotFoundException>(() => Run(folder, vocabSize));
        Assert.StartsWith($"{folder.TokenizerModel(vocabSize)}: no such file. {advice}{temp.Path}", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(DataFolder.Sample, "llamafs data sample")]
    [InlineData(DataFolder.TinyStories, "llamafs data download")]
    public async Task Run_NoStories_SaysHowToGetThem(string dataset, string command)
    {
        using var temp = new TempFolder();
        var folder = new DataFolder(temp.Path, dataset);
        WriteModel(folder, "a", "b");
        var error = await Assert.ThrowsAsync<FileNotFoundException>(() => Run(folder, VocabSize));
        Assert.Equal($"{folder.Stories}: no stories (*.txt, *.txt.gz, *.json, *.json.gz, *.jsonl, *.jsonl.gz). Get them first: {command} --data_dir={temp.Path}", error.Message);
    }

    [Fact]
    public async Task Run_VocabularyOfAnotherSize_Throws()
    {
        using var temp = new TempFolder();
        var folder = Prepare(temp, [["a"]]);
        File.Copy(folder.TokenizerModel(VocabSize), folder.TokenizerModel(300));
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => Run(folder, 300));
        Assert.StartsWith($"{folder.TokenizerModel(300)}: 262 pieces, expected 300. Train it again: llamafs data", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(65_536, "data00.bin", "uint16", 2)]
    [InlineData(65_537, "data00.u32", "uint32", 4)]
    public async Task Run_VocabularyBeyondTwoBytes_TakesFour(int vocabSize, string name, string dtype, int tokenSize)
    {
        using var temp = new TempFolder();
        var folder = new DataFolder(temp.Path, DataFolder.Sample);
        StoryShardWriter.Write(Path.Combine(folder.Stories, "data00.json"), ["\u4E00"]);
        StoryShardWriter.Write(Path.Combine(folder.Stories, "data01.json"), ["\u4E00\u4E00"]);
        // The last piece is the stories' only character, so that its id must be the greatest.
        WriteModel(vocabSize, folder, [.. Enumerable.Range(0, vocabSize - Vocabulary.FirstText - 2).Select(i => $"{i:x6}"), " ", "\u4E00"]);
        var manifest = await Run(folder, vocabSize);
        Assert.Equal((dtype, name), (manifest.Dtype, manifest.Shards[0].Name));

        using var shard = TokenShard.Open(Path.Combine(folder.Tokens(vocabSize), name));
        var tokens = new long[shard.Length];
        shard.Read(0, tokens);
        Assert.Equal([1, vocabSize - 2, vocabSize - 1], tokens);
        Assert.Equal(3 * tokenSize, new FileInfo(shard.Path).Length);

        // Training finds and reads them.
        var splits = TokenSplits.Find(folder, vocabSize);
        using var loader = new BatchLoader(splits.Train, batchSize: 1, seqLen: 3, vocabSize, seed: 0);
        Assert.Equal([1, vocabSize - 2, vocabSize - 1], loader.Next().Tokens);
    }

    [Fact]
    public async Task Check_ShardsThatDoNotFit_SaysWhich()
    {
        using var temp = new TempFolder();
        var folder = Prepare(temp, [["a"], ["b"]]);
        var manifest = await Run(folder, VocabSize);
        var (tokens, model) = (folder.Tokens(VocabSize), folder.TokenizerModel(VocabSize));
        string Problem() => Assert.Throws<InvalidDataException>(() => manifest.Check(tokens, model)).Message;
        var shards = folder.TokenShards(VocabSize);
        var listed = Path.Combine(tokens, TokenManifest.FileName);

        var extra = Path.Combine(tokens, "data77.bin");
        File.WriteAllBytes(extra, [1, 0]);
        Assert.Equal($"{extra}: not listed in {listed}, so nothing is known of it. Delete it, or pretokenise again.", Problem());
        File.Delete(extra);
        manifest.Check(tokens, model);

        File.AppendAllText(shards[0], "x");
        Assert.Equal($"{shards[0]}: 7 bytes, expected 6. Pretokenise again.", Problem());
        File.Delete(shards[0]);
        Assert.Equal($"{shards[0]}: missing, though {listed} lists it. Pretokenise again.", Problem());

        WriteModel(folder, "b", "a");
        Assert.Equal($"{listed}: the shards were made with another tokenizer than {model} is now. Pretokenise again.", Problem());
    }

    [Fact]
    public async Task Check_StoriesChangedSince_SaysWhich()
    {
        using var temp = new TempFolder();
        var folder = Prepare(temp, [["a"], ["b"]]);
        await Run(folder, VocabSize);
        TokenSplits.Find(folder, VocabSize);
        var (story, shard) = (folder.StoryShards()[1], folder.TokenShards(VocabSize)[1]);

        File.SetLastWriteTimeUtc(story, DateTime.UtcNow.AddHours(1));       // only touched
        TokenSplits.Find(folder, VocabSize);
        StoryShardWriter.Write(story, ["a"]);                               // of the same size
        File.SetLastWriteTimeUtc(story, DateTime.UtcNow.AddHours(1));
        string Problem() => Assert.Throws<InvalidDataException>(() => TokenSplits.Find(folder, VocabSize)).Message;
        Assert.Equal($"{shard}: ../stories/data01.json has changed since these tokens were made. Pretokenise again.", Problem());
        StoryShardWriter.Write(story, ["ab"]);
        File.SetLastWriteTimeUtc(story, DateTime.UtcNow.AddHours(-1));
        Assert.Equal($"{shard}: ../stories/data01.json has changed since these tokens were made. Pretokenise again.", Problem());
        File.Delete(story);
        TokenSplits.Find(folder, VocabSize);
    }

    [Fact]
    public async Task Run_SplitByShare_ValidatesTheSameStoriesWhateverElseThereIs()
    {
        using var temp = new TempFolder();
        var folder = Prepare(temp, [[.. Enumerable.Range(0, 200).Select(i => $"ab {i}")], ["b", "ab 7", "ab 8"]]);
        async Task<string[]> Validation()
        {
            await Pretokenizer.RunAsync(FileDataset.Open(folder, new DatasetSource(Validation: "0.25")), folder, VocabSize);
            var tokenizer = new Tokenizer(SentencePieceModel.Read(folder.TokenizerModel(VocabSize)).Vocabulary);
            return [.. TokenSplits.Find(folder, VocabSize).Validation.SelectMany(path => Decoded(path, tokenizer)).Order(StringComparer.Ordinal)];
        }
        var chosen = await Validation();
        Assert.InRange(chosen.Length, 203 / 8, 203 / 2);        // 51 expected; these bounds are 4 and 8 standard deviations (6.2) away
        var manifest = TokenManifest.Read(folder.Tokens(VocabSize))!;
        Assert.Equal(203, manifest.Stories);
        Assert.Equal(["data00.bin", "data00.val.bin", "data01.bin", "data01.val.bin"], manifest.Shards.Select(shard => shard.Name));

        StoryShardWriter.Write(folder.StoryShards()[1], ["b", "ab 7", "ab 8", "a", "ba"]);
        Assert.Subset((await Validation()).ToHashSet(), chosen.ToHashSet());
    }

    [Fact]
    public async Task Run_SplitByFileName_ValidatesThatFile()
    {
        using var temp = new TempFolder();
        var folder = Prepare(temp, [["a"], ["b"], ["ab"]]);
        var dataset = FileDataset.Open(folder, new DatasetSource(Validation: "data01.json"));
        await Pretokenizer.RunAsync(dataset, folder, VocabSize);
        dataset.Remember();
        Assert.Equal(["data01.bin"], TokenSplits.Find(folder, VocabSize).Validation.Select(Path.GetFileName));
        await Run(folder, VocabSize);       // remembered
        Assert.Equal(["data00.bin", "data02.bin"], TokenSplits.Find(folder, VocabSize).Train.Select(Path.GetFileName));

        var error = await Assert.ThrowsAsync<ArgumentException>(
            () => Pretokenizer.RunAsync(FileDataset.Open(folder, new DatasetSource(Validation: "x.json")), folder, VocabSize));
        Assert.Equal("--validation x.json: no file has this name. Name a file of the dataset, a share such as 0.05, or first.", error.Message);
    }

    [Fact]
    public async Task Run_ManyFiles_BecomeFewShards()
    {
        using var temp = new TempFolder();
        var folder = Prepare(temp, [.. Enumerable.Range(0, 600).Select(i => new[] { i % 2 == 0 ? "a" : "b" })]);
        var manifest = await Run(folder, VocabSize);
        Assert.Equal(201, manifest.Shards.Count);       // the first file validates; the other 599 are joined three by three
        Assert.Equal((600, 1800), (manifest.Stories, manifest.Tokens));
        File.Delete(folder.StoryShards()[^1]);
        File.Delete(folder.StoryShards()[^1]);
        Assert.Equal(598, (await Run(folder, VocabSize)).Stories);
        Assert.Equal(200, folder.TokenShards(VocabSize).Count);
    }

    [Fact]
    public void ReadManifest_MissingOrDamaged_IsNullOrThrows()
    {
        using var temp = new TempFolder();
        Assert.Null(TokenManifest.Read(temp.Path));
        foreach (var text in new[] { "", "null", "{}", "{\"dtype\":1}", "[]" })
        {
            var path = temp.Write(TokenManifest.FileName, Encoding.UTF8.GetBytes(text));
            var error = Assert.Throws<InvalidDataException>(() => TokenManifest.Read(temp.Path));
            Assert.StartsWith($"{path}: not a manifest of token shards: ", error.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', error.Message);
        }
    }

    // A vocabulary of the marks, the bytes, " ", "a" and "b".
    private const int Space = Vocabulary.FirstText, A = Space + 1, B = Space + 2, VocabSize = B + 1;

    private static Task<TokenManifest> Run(
        DataFolder folder, int vocabSize, IProgress<PretokenizeProgress>? progress = null, CancellationToken cancellation = default) =>
        Pretokenizer.RunAsync(FileDataset.Open(folder), folder, vocabSize, progress, cancellation);

    private static DataFolder Prepare(TempFolder temp, string[][] shards)
    {
        var folder = new DataFolder(temp.Path, DataFolder.Sample);
        for (var i = 0; i < shards.Length; i++)
            StoryShardWriter.Write(Path.Combine(folder.Stories, $"data{i:00}.json"), shards[i]);
        WriteModel(folder, "a", "b");
        return folder;
    }

    private static void WriteModel(DataFolder folder, string first, string second) => WriteModel(VocabSize, folder, [" ", first, second]);

    private static void WriteModel(int vocabSize, DataFolder folder, string[] texts)
    {
        Piece[] pieces =
        [
            new("<unk>"u8.ToArray(), 0, PieceType.Unknown),
            new("<s>"u8.ToArray(), 0, PieceType.Control),
            new("</s>"u8.ToArray(), 0, PieceType.Control),
            .. Enumerable.Range(0, 256).Select(value => new Piece(Encoding.ASCII.GetBytes($"<0x{value:X2}>"), 0, PieceType.Byte)),
            .. texts.Select((text, i) => new Piece(Encoding.UTF8.GetBytes(text), -i, PieceType.Normal)),
        ];
        var training = new SentencePieceTraining("stories", "tok", CharacterCoverage: 1, NumThreads: 1);
        SentencePieceModel.Trained(new Vocabulary { Pieces = pieces }, training).Write(folder.TokenizerModel(vocabSize));
    }

    /// <summary>The stories of a shard, each BOS beginning one.</summary>
    private static IEnumerable<string> Decoded(string path, Tokenizer tokenizer)
    {
        using var shard = TokenShard.Open(path);
        var tokens = new long[shard.Length];
        shard.Read(0, tokens);
        var ids = new List<int>();
        foreach (var token in tokens.Append(Vocabulary.Bos))
        {
            if (token == Vocabulary.Bos && ids.Count > 0)
            {
                yield return tokenizer.Decode(ids.ToArray());
                ids.Clear();
            }
            ids.Add((int)token);
        }
    }

    private static ushort[] Tokens(DataFolder folder, string name, int vocabSize = VocabSize) =>
        MemoryMarshal.Cast<byte, ushort>(File.ReadAllBytes(Path.Combine(folder.Tokens(vocabSize), name))).ToArray();
}
