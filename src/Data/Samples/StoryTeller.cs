// Turns a plot into a story. A plot is prose with slots; this file knows the slots and no words at all.

using System.Text;

namespace LlamaFullstack.Data.Samples;

/// <summary>Tells one story after another from plots, words and a random sequence.</summary>
/// <remarks>
/// The grammar of a plot:
/// <code>
/// [big|small|]                 one of the alternatives; they may hold slots and alternatives themselves
/// {toy}                        a word of that list, which the story keeps to its end
/// {toy2}                       another word of the same list
/// {a toy}                      the word with "a" or "an" in front
/// {he} {him} {his} {himself}   the hero; {he:friend} is the friend: "she" where that is a girl
/// {Toy} {A toy} {He}           the same with a capital letter
/// </code>
/// </remarks>
internal sealed class StoryTeller(SplitMix64 random)
{
    // What the current story has settled so far: the hero's name, which toy.
    private readonly Dictionary<string, string> _facts = [];
    private readonly HashSet<string> _girls = [];

    /// <summary>Tells a story.</summary>
    public string Tell(Plot plot)
    {
        _facts.Clear();
        _girls.Clear();
        foreach (var role in SampleWords.Roles)
            Cast(role);
        foreach (var (column, value) in plot.Columns.Zip(Pick(plot.Cases)))
            _facts[column] = Expand(value);

        var story = new StringBuilder();
        var between = "";
        foreach (var ways in plot.Lines)
        {
            if (ways.Count > 0)
                story.Append(between).Append(Expand(Pick(ways)));
            between = ways.Count > 0 ? " " : "\n";
        }
        return story.ToString();
    }

    private T Pick<T>(IReadOnlyList<T> options) => options[random.Below(options.Count)];

    /// <summary>A word of the list that this story does not use yet.</summary>
    private string Another(IReadOnlyList<string> words)
    {
        string word;
        do
            word = Pick(words);
        while (_facts.ContainsValue(word));
        return word;
    }

    /// <summary>Decides who plays a role: he or she, the name, and what kind of creature.</summary>
    private void Cast(Role role)
    {
        var isGirl = random.Below(2) == 0;
        if (isGirl)
            _girls.Add(role.Name);
        _facts[role.Name] = Another(isGirl ? role.Girls : role.Boys);
        if (role.GirlKinds.Length > 0)
            _facts[role.Name + " kind"] = Another(isGirl ? role.GirlKinds : role.BoyKinds);
    }

    private string Expand(string template)
    {
        var text = new StringBuilder();
        for (var i = 0; i < template.Length; i++)
        {
            if (template[i] is not ('{' or '['))
            {
                text.Append(template[i]);
                continue;
            }
            var end = Closing(template, i);
            var inside = template[(i + 1)..end];
            text.Append(template[i] == '{' ? Fill(inside) : Expand(Pick(Alternatives(inside))));
            i = end;
        }
        return text.ToString();
    }

    private string Fill(string slot)
    {
        var name = char.ToLowerInvariant(slot[0]) + slot[1..];
        var value = Value(name);
        return char.IsUpper(slot[0]) ? char.ToUpperInvariant(value[0]) + value[1..] : value;
    }

    private string Value(string name)
    {
        if (name.StartsWith("a ", StringComparison.Ordinal))
        {
            var noun = Value(name[2..]);
            return (IsVowel(noun[0]) ? "an " : "a ") + noun;
        }
        var (word, who) = name.Split(':') is [var pronoun, var role] ? (pronoun, role) : (name, "hero");
        if (SampleWords.Pronouns.TryGetValue(word, out var she))
            return _girls.Contains(who) ? she : word;
        if (!_facts.TryGetValue(name, out var value))
            _facts[name] = value = Expand(Another(SampleWords.Lists[name.TrimEnd('2', '3')]));
        return value;
    }

    private static bool IsVowel(char letter) => letter is 'a' or 'e' or 'i' or 'o' or 'u';

    /// <summary>Index of the bracket that closes the one at <paramref name="open"/>.</summary>
    private static int Closing(string template, int open)
    {
        var depth = 0;
        for (var i = open; i < template.Length; i++)
        {
            depth += template[i] is '{' or '[' ? 1 : template[i] is '}' or ']' ? -1 : 0;
            if (depth == 0)
                return i;
        }
        throw new FormatException($"a bracket is not closed: {template}");
    }

    /// <summary>Splits at the bars that are not inside a bracket.</summary>
    private static List<string> Alternatives(string template)
    {
        var options = new List<string>();
        var (start, depth) = (0, 0);
        for (var i = 0; i <= template.Length; i++)
        {
            if (i == template.Length || (template[i] == '|' && depth == 0))
            {
                options.Add(template[start..i]);
                start = i + 1;
                continue;
            }
            depth += template[i] is '{' or '[' ? 1 : template[i] is '}' or ']' ? -1 : 0;
        }
        return options;
    }
}
