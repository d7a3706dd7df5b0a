using System.CommandLine;

namespace LlamaFullstack.Cli;

/// <summary>An option that help lists under a heading of its own.</summary>
/// <param name="name">Its name, such as "--vocab_size".</param>
/// <param name="group">The heading.</param>
internal sealed class GroupedOption(string name, string group) : Option<string?>(name, Options.OtherNames(name))
{
    /// <summary>The heading.</summary>
    public string Group { get; } = group;
}
