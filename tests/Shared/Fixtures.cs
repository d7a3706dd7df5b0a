namespace LlamaFullstack.Tests;

/// <summary>Real models, tokenizers and text that tests compare against; never part of the project itself.</summary>
internal static class Fixtures
{
    /// <summary>The repository's root folder: the one that holds LlamaFullstack.sln.</summary>
    public static string RepositoryRoot { get; } = FindRepositoryRoot();

    /// <summary>The fixtures folder: LLAMAFS_FIXTURES, else ../shared/fixtures beside the repository, else null.</summary>
    public static string? Folder { get; } = Find();

    /// <summary>Full path of a fixture; skips the calling test with the reason where the fixture is missing.</summary>
    public static string Path(params string[] parts)
    {
        if (Folder is null)
            Assert.Skip("fixtures not found: set LLAMAFS_FIXTURES, or put them in ../shared/fixtures");
        var path = System.IO.Path.Combine([Folder, .. parts]);
        if (!File.Exists(path) && !Directory.Exists(path))
            Assert.Skip($"fixture not found: {path}");
        return path;
    }

    /// <summary>A fixture of little-endian float32 values.</summary>
    public static float[] Floats(params string[] parts)
    {
        var bytes = File.ReadAllBytes(Path(parts));
        var values = new float[bytes.Length / sizeof(float)];
        Buffer.BlockCopy(bytes, 0, values, 0, bytes.Length);
        return values;
    }

    /// <summary>A fixture of whitespace-separated token ids.</summary>
    public static int[] Ids(params string[] parts) =>
        [.. File.ReadAllText(Path(parts)).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
            .Select(word => int.Parse(word, System.Globalization.CultureInfo.InvariantCulture))];

    private static string? Find()
    {
        var named = Environment.GetEnvironmentVariable("LLAMAFS_FIXTURES");
        if (!string.IsNullOrEmpty(named))
            return Directory.Exists(named) ? named : null;
        var shared = System.IO.Path.GetFullPath(System.IO.Path.Combine(RepositoryRoot, "..", "shared", "fixtures"));
        return Directory.Exists(shared) ? shared : null;
    }

    private static string FindRepositoryRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "LlamaFullstack.sln")))
                return folder.FullName;
        throw new DirectoryNotFoundException($"no LlamaFullstack.sln above {AppContext.BaseDirectory}");
    }
}
