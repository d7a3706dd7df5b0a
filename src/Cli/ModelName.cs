using LlamaFullstack.Data.Downloading;

namespace LlamaFullstack.Cli;

/// <summary>The name of a published model in place of a file: llamafs run stories15M.</summary>
internal static class ModelName
{
    /// <summary>Whether a word may be such a name. Looks at the word and the disk alone, so that a run of a file loads nothing for this.</summary>
    public static bool MayBe(string word) => !word.StartsWith('-') && word.IndexOfAny(['.', '/', '\\']) < 0 && !Path.Exists(word);

    /// <summary>The words of a run with the files of the model that its first word names; the same words where that is no known name.</summary>
    /// <exception cref="FileNotFoundException">The model was not pulled.</exception>
    public static string[] Resolve(string[] words)
    {
        if (PublishedModel.Find(words[0]) is not { } published)
            return words;
        var (model, tokenizer) = published.FindLocal(HubCache.FromEnvironment())
            ?? throw new FileNotFoundException($"{words[0]}: is not here yet. Get it first: llamafs pull {words[0]}");
        return [model, "-z", tokenizer, .. words[1..]];     // a -z of the user's own comes later, and counts
    }
}
