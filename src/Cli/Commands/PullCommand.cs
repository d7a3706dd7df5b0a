using System.CommandLine;
using LlamaFullstack.Data.Downloading;
using LlamaFullstack.Run;

namespace LlamaFullstack.Cli.Commands;

/// <summary>llamafs pull: a file of Hugging Face's hub → the cache that its tools share; its path on stdout.</summary>
internal static class PullCommand
{
    private static readonly string Names = string.Join(", ", PublishedModel.All.Select(model => model.Name));

    public static Command Create()
    {
        var repository = new Argument<string>("repo") { Description = $"A model by name ({Names}), or a repository: OWNER/NAME, or datasets/OWNER/NAME." };
        var file = new Argument<string?>("file") { Description = "The file in the repository.", Arity = ArgumentArity.ZeroOrOne };
        var revision = Options.Create("--revision", "A branch, a tag or a commit.", HubCache.Main);
        var command = new Command("pull", "Download a model by name, or any file from Hugging Face. Stopped, it goes on where it was.") { repository, file, revision };
        command.SetAction((parsed, cancellation) =>
            Run(parsed.GetValue(repository)!, parsed.GetValue(file), parsed.GetValue(revision)!, cancellation));
        return command;
    }

    private static async Task<int> Run(string repository, string? file, string revision, CancellationToken cancellation)
    {
        var cache = HubCache.FromEnvironment();
        using var progress = new DownloadReporter();
        string path;
        if (file is not null)
            path = await cache.PullAsync(new HubRepository(repository), file, revision, progress: progress, cancellation: cancellation);
        else if (PublishedModel.Find(repository) is { } model)
            path = (await model.PullAsync(cache, progress, cancellation)).Model;
        else
            throw new UsageException($"{repository}: expected one of {Names}, or a repository and a file in it: llamafs pull OWNER/NAME FILE.");
        progress.Dispose();
        Console.WriteLine(path);
        return 0;
    }
}
