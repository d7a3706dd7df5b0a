using System.Text.RegularExpressions;

namespace LlamaFullstack.Data.Downloading;

/// <summary>A repository of Hugging Face's hub, of models or of a dataset.</summary>
public sealed partial record HubRepository
{
    private const string DatasetPrefix = "datasets/";

    /// <summary>Names a repository.</summary>
    /// <param name="id">Such as "karpathy/tinyllamas", or "datasets/roneneldan/TinyStories" for a dataset's.</param>
    /// <exception cref="ArgumentException">It is not such a name.</exception>
    public HubRepository(string id)
    {
        IsDataset = id.StartsWith(DatasetPrefix, StringComparison.Ordinal);
        Id = IsDataset ? id[DatasetPrefix.Length..] : id;
        if (!Name().IsMatch(Id) || Id.Contains("..") || Id.Contains("--"))
            throw new ArgumentException($"{id}: expected a repository as OWNER/NAME, or datasets/OWNER/NAME.");
    }

    /// <summary>OWNER/NAME.</summary>
    public string Id { get; }

    /// <summary>Whether it is a dataset's.</summary>
    public bool IsDataset { get; }

    /// <summary>Its folder in the cache, such as models--karpathy--tinyllamas.</summary>
    internal string FolderName => (IsDataset ? "datasets--" : "models--") + Id.Replace("/", "--");

    /// <summary>The address of a file.</summary>
    internal Uri Address(Uri endpoint, string revision, string file) =>
        new($"{endpoint.AbsoluteUri.TrimEnd('/')}/{(IsDataset ? DatasetPrefix : "")}{Id}/resolve/{Uri.EscapeDataString(revision)}/{string.Join('/', file.Split('/').Select(Uri.EscapeDataString))}");

    [GeneratedRegex(@"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?$")]
    private static partial Regex Name();
}
