using LlamaFullstack.Data.Datasets;

namespace LlamaFullstack.Data.Tests.Datasets;

public sealed class FileDatasetTests : IDisposable
{
    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData("poems.txt", "poems", "poems.txt")]
    [InlineData("more/poems.jsonl.gz", "poems", "more/poems.jsonl.gz")]
    [InlineData("more", "more", "more/a.json", "more/deep/b.txt", "more/poems.jsonl.gz")]
    [InlineData("more/", "more", "more/a.json", "more/deep/b.txt", "more/poems.jsonl.gz")]
    [InlineData("more/*.json", "more", "more/a.json")]
    [InlineData("more/**/*.txt", "more", "more/deep/b.txt")]
    [InlineData("no?es.txt", "", "notes.txt")]
    public void Open_Path_FindsFilesAndName(string path, string name, params string[] files)
    {
        foreach (var file in new[] { "poems.txt", "notes.txt", "more/a.json", "more/deep/b.txt", "more/poems.jsonl.gz", "more/.hidden.txt", "more/c.pdf" })
            _temp.Write(file, [(byte)'a']);
        var folder = Folder(_temp.File(path));
        var dataset = FileDataset.Open(folder);
        Assert.Equal(name.Length > 0 ? name : Path.GetFileName(_temp.Path), dataset.Name);
        Assert.Equal(files.Select(_temp.File), dataset.Files);
        Assert.Equal("0.05", dataset.Validation.ToString());
    }

    [Fact]
    public void Open_FolderThatHoldsTheDataFolder_LeavesThatOut()
    {
        _temp.Write("a.json", "[]"u8.ToArray());
        _temp.Write("data/other/stories/b.json", "[]"u8.ToArray());
        var name = Path.GetFileName(_temp.Path);
        Assert.Equal([_temp.File("a.json")], FileDataset.Open(Folder(_temp.File("**/*.json"))).Files);
        FileDataset.Open(Folder(_temp.Path)).Remember(); // writes a .json in data/NAME
        Assert.Equal([_temp.File("a.json")], FileDataset.Open(Folder(_temp.Path)).Files);
        Assert.Equal([_temp.File("a.json")], FileDataset.Open(Folder(name)).Files);
        Assert.Equal([_temp.File("data/other/stories/b.json")], FileDataset.Open(Folder(_temp.File("data/other"))).Files); // one that lies in the data folder is read
    }

    [Fact]
    public void Open_PatternInTheDataFolder_LeavesTheNoteOut()
    {
        _temp.Write("data/poems/a.json", "[]"u8.ToArray());
        foreach (var pattern in new[] { "data/poems/*.json", "data/poems/**/*.json" })
        {
            var folder = Folder(_temp.File(pattern));
            FileDataset.Open(folder).Remember();
            Assert.True(File.Exists(_temp.File("data/poems/dataset.json")));
            Assert.Equal([_temp.File("data/poems/a.json")], FileDataset.Open(folder).Files);
            File.Delete(_temp.File("data/poems/dataset.json"));
        }
    }

    [Theory]
    [InlineData("texts")]
    [InlineData("texts/")]
    public void Open_TheDataFolderItself_IsReadButForTheNote(string dataDir)
    {
        _temp.Write("texts/a.json", "[]"u8.ToArray());
        var folder = new DataFolder(_temp.File(dataDir), _temp.File("texts"));
        FileDataset.Open(folder).Remember();
        Assert.True(File.Exists(_temp.File("texts/texts/dataset.json")));
        Assert.Equal([_temp.File("texts/a.json")], FileDataset.Open(folder).Files);
    }

    [Fact]
    public void Open_DatasetOfTheDataFolder_NamesFilesAsThatWasGiven()
    {
        _temp.Write("data/TinyStories_all_data/a.json", "[]"u8.ToArray());
        var dataDir = Path.GetRelativePath(Environment.CurrentDirectory, _temp.File("data"));
        Assert.Equal([Path.Combine(dataDir, "TinyStories_all_data", "a.json")], FileDataset.Open(new DataFolder(dataDir, DataFolder.TinyStories)).Files);
    }

    [Fact]
    public void Open_Links_AreFollowedButNothingIsReadTwice()
    {
        if (OperatingSystem.IsWindows())
            Assert.Skip("makes symbolic links, which Windows allows few");
        foreach (var file in new[] { "texts/deep/a.txt", "elsewhere/b.txt", "elsewhere/sub/c.txt", "above.txt" })
            _temp.Write(file, [(byte)'a']);
        void Link(string name, string target) => Directory.CreateSymbolicLink(_temp.File(name), target);
        Link("texts/deep/up", "..");
        Link("texts/above", "..");                              // holds the dataset, and above.txt too
        Link("texts/before-deep", "deep");                      // has a name of its own
        Link("texts/first", _temp.File("elsewhere/sub"));       // in the next one
        Link("texts/out", _temp.File("elsewhere"));
        Link("texts/twice", "out/../elsewhere");
        Link("elsewhere/back", _temp.File("texts"));
        Link("elsewhere/sub/by-another", "../../same/deep");
        Link("same", "texts");
        _temp.Write("apart/e.txt", [(byte)'a']);
        File.CreateSymbolicLink(_temp.File("texts/d.txt"), _temp.File("elsewhere/b.txt"));  // read as out/b.txt
        File.CreateSymbolicLink(_temp.File("texts/e1.txt"), _temp.File("apart/e.txt"));
        File.CreateSymbolicLink(_temp.File("texts/e2.txt"), "e1.txt");
        string[] files = ["deep/a.txt", "e1.txt", "first/c.txt", "out/b.txt"];
        Assert.Equal(files.Select(file => _temp.File("texts/" + file)), FileDataset.Open(Folder(_temp.File("texts"))).Files);
        Assert.Equal(files.Select(file => _temp.File("same/" + file)), FileDataset.Open(Folder(_temp.File("same/**/*.txt"))).Files);
    }

    [Fact]
    public void Open_ALinkInACircle_IsNamed()
    {
        if (OperatingSystem.IsWindows())
            Assert.Skip("makes symbolic links, which Windows allows few");
        _temp.Write("texts/a.txt", [(byte)'a']);
        File.CreateSymbolicLink(_temp.File("texts/b.txt"), "c.txt");
        File.CreateSymbolicLink(_temp.File("texts/c.txt"), "b.txt");
        Assert.StartsWith(_temp.File("texts/b.txt: "), Assert.ThrowsAny<IOException>(() => FileDataset.Open(Folder(_temp.File("texts"))).Files).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_APipeAmongTheFiles_IsRefusedAndNotWaitedFor()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Skip("makes a named pipe, and .NET tells one from a file on no system");
        _temp.Write("texts/a.txt", [(byte)'a']);
        _temp.Write("texts/empty.txt", []);
        SystemProgram.Run("mkfifo", _temp.File("texts/pipe.txt"));
        var error = Assert.Throws<IOException>(() => FileDataset.Open(Folder(_temp.File("texts"))));
        Assert.StartsWith($"{_temp.File("texts/pipe.txt")}: is a pipe or a device, expected a file.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_ByNameLater_IsAsItWasGiven()
    {
        _temp.Write("poems.txt", "a\n---\nb"u8.ToArray());
        FileDataset.Open(Folder(_temp.File("poems.txt")), new DatasetSource(Separator: "---", Validation: "0.5")).Remember();
        foreach (var again in new[] { FileDataset.Open(Folder("poems")), FileDataset.Open(Folder(_temp.File("poems.txt"))) })
        {
            Assert.Equal([_temp.File("poems.txt")], again.Files);
            Assert.Equal(("separator=---, text_column=", "0.5"), (again.Settings, again.Validation.ToString()));
        }
        Assert.Equal("separator=line, text_column=", FileDataset.Open(Folder("poems"), new DatasetSource(Separator: "line")).Settings);
        Assert.Equal("separator=---, text_column=", FileDataset.Open(Folder("poems")).Settings); // what was tried and not kept is forgotten
    }

    [Fact]
    public void Open_AnotherOfTheSameName_IsRefused()
    {
        _temp.Write("a/poems.txt", [(byte)'a']);
        _temp.Write("b/poems.txt", [(byte)'b']);
        FileDataset.Open(Folder(_temp.File("a/poems.txt"))).Remember();
        var error = Assert.Throws<InvalidDataException>(() => FileDataset.Open(Folder(_temp.File("b/poems.txt"))));
        Assert.Equal(
            $"{_temp.File("data/poems")}: belongs to the dataset {_temp.File("a/poems.txt")}, which has the same name as {_temp.File("b/poems.txt")}. Rename one of them, or keep this one apart with --data_dir.",
            error.Message);
    }

    [Fact]
    public void Open_WhatIsNoDataset_SaysWhy()
    {
        _temp.Write("a.pdf", [1]);
        _temp.Write("sample.txt", [1]);
        _temp.Write("tok512.txt", [1]);
        string Problem<T>(string path) where T : Exception => Assert.Throws<T>(() => FileDataset.Open(Folder(path))).Message;
        Assert.EndsWith("a.pdf: expected a name that ends in .txt, .txt.gz, .json, .json.gz, .jsonl, .jsonl.gz. Plain text is .txt.",
            Problem<InvalidDataException>(_temp.File("a.pdf")), StringComparison.Ordinal);
        Assert.EndsWith(". Is the path right?", Problem<FileNotFoundException>(_temp.File("b.txt")), StringComparison.Ordinal);
        Assert.EndsWith(". Is the path right?", Problem<FileNotFoundException>(_temp.File("none/*.txt")), StringComparison.Ordinal);
        Assert.EndsWith(" Is it one of tinystories, tinystories-v2, sample, a name used before, or the path of a file, a folder or a pattern?",
            Problem<FileNotFoundException>("no-such-name"), StringComparison.Ordinal);
        Assert.EndsWith("would be named \"sample\", which this program uses itself. Rename the file or folder.",
            Problem<ArgumentException>(_temp.File("sample.txt")), StringComparison.Ordinal);
        Assert.Contains("would be named \"tok512\"", Problem<ArgumentException>(_temp.File("tok512.txt")), StringComparison.Ordinal);
        Assert.EndsWith("only the name of the file may be a pattern, and ** the folder before it.", Problem<ArgumentException>(_temp.File("*/a.txt")), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_temp.File("data")));
    }

    private DataFolder Folder(string dataset) => new(_temp.File("data"), dataset);
}
