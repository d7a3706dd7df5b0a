using System.Xml.Linq;

namespace LlamaFullstack.Core.Tests;

/// <summary>The rules of the house: which room may lean on which.</summary>
public class LayoutTests
{
    public static TheoryData<string, string[], string[]> Rooms => new()
    {
        { "Core", [], [] },
        { "Data", ["Core"], [] },
        { "Data.Parquet", ["Data"], ["Parquet.Net"] },
        { "Inference", ["Core"], [] },
        { "MLTokenizers", ["Core"], ["Microsoft.ML.Tokenizers"] },
        { "Export", ["Core"], [] },
        { "Training", ["Core", "Data"], ["TorchSharp"] },
        { "Run", ["Core", "Inference"], [] },
        { "Cli", ["Core", "Data", "Data.Parquet", "Training", "Export", "Inference", "Run"], ["ScottPlot", "System.CommandLine"] },
    };

    [Theory]
    [MemberData(nameof(Rooms))]
    public void Room_LeansOnlyOnWhatTheLayoutAllows(string room, string[] projects, string[] packages)
    {
        var project = XDocument.Load(Path.Combine(Fixtures.RepositoryRoot, "src", room, $"{room}.csproj"));
        Assert.Equal(projects.Order(), References(project, "ProjectReference").Select(path => Path.GetFileNameWithoutExtension(path)).Order());
        Assert.Equal(packages.Order(), References(project, "PackageReference").Order());
    }

    [Fact]
    public void EveryRoom_IsInTheTable() =>
        Assert.Equal(Directory.GetDirectories(Path.Combine(Fixtures.RepositoryRoot, "src")).Select(Path.GetFileName).Order(),
            Rooms.Select(row => (string?)row.Data.Item1).Order());

    // libtorch is about 500 MB in each output folder: only what runs a model in torch may pull it in.
    [Fact]
    public void Libtorch_IsImportedByTheCliTrainingsTestsAndItsBenchmarkAlone() =>
        Assert.Equal(["Cli.csproj", "PlainTorchSharp.csproj", "Training.Tests.csproj"],
            Directory.GetFiles(Fixtures.RepositoryRoot, "*.csproj", SearchOption.AllDirectories)
                .Where(path => !path.Contains("artifacts") && File.ReadAllText(path).Contains("Torch.props"))
                .Select(Path.GetFileName).Order());

    private static IEnumerable<string> References(XDocument project, string element) =>
        project.Descendants(element).Select(reference => reference.Attribute("Include")!.Value);
}
